// One product, large: video, scenes side by side, what was before, and what one can do.

function openProduct() {
  const product = gallery.by.get(shown.product), view = byId("view");
  if (!product) {
    if (view.open) view.close();
    return;
  }
  view.replaceChildren(...viewOf(product));
  if (!view.open) view.showModal();
  view.scrollTop = 0;
  view.querySelector(".body").focus({ preventScroll: true });
  document.title = `${product.id} · ${gallery.title}`;
}

function viewOf(product) {
  const at = shown.list.indexOf(product), total = shown.list.length;
  const head = el(
    "header",
    {},
    el("h2", { id: "view-title" }, dot(product.status), product.id),
    el("span", { class: "quiet" }, gallery.statuses[product.status], at >= 0 && ` · ${(at + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`),
    el(
      "nav",
      { "aria-label": "Products" },
      button("‹", () => step(-1), { "aria-label": "Previous product", disabled: at <= 0 }),
      button("›", () => step(1), { "aria-label": "Next product", disabled: at < 0 || at >= total - 1 }),
      button("×", () => byId("view").close(), { "aria-label": "Close" }),
    ),
  );
  const body = el("div", { class: "body", tabindex: "-1" }, el("div", { class: "show" }, largest(product)), el("div", { class: "side" }, sideOf(product)));
  return [head, body];
}

function largest(product) {
  if (product.video) return film(product.video, product.poster, `Video of ${product.id}`);
  if (product.scenes.length) return null; // they are shown side by side
  if (product.cutout) return el("div", { class: "checker" }, image(product.cutout, `Cut-out of ${product.id}`, true));
  return product.photo ? image(product.photo, `Photo of ${product.id}`, true) : null;
}

function film(src, poster, label) {
  const video = el("video", { src, poster: poster?.[1] ?? poster?.[0], controls: true, playsinline: true, loop: true, preload: "metadata", "aria-label": label });
  video.addEventListener("play", () => {
    for (const other of document.querySelectorAll("#view video")) if (other !== video) other.pause();
  });
  return video;
}

function sideOf(product) {
  const small = [
    product.photo && figure(product.photo, "Photo", product),
    product.cutout && figure(product.cutout, "Cut-out", product, "checker"),
  ].filter(Boolean);
  return [
    ...product.notes.map(noteOf),
    product.warning && noteOf(["held", "Please look", product.warning, ""]),
    product.chosenSince && noteOf(["pending", `Scene ${product.chosen} is chosen`, `The next run remakes the video from it, for about ${credits(product.costs?.[0])}.`, ""]),
    actionsOf(product),
    product.scenes.length > 0 && el("div", { class: "scenes" }, product.scenes.map((scene) => sceneOf(scene, product))),
    product.script && el("blockquote", {}, product.script),
    factsOf(product),
    small.length > 0 && el("div", { class: "sources" }, small),
    ...(product.before ?? []).map((before) => beforeOf(before, product)),
    historyOf(product),
    linksOf(product),
  ].filter(Boolean);
}

function noteOf([status, head, what, fix]) {
  return el("p", { class: `note ${status}` }, el("b", {}, `${head}. `), what, fix && el("span", { class: "fix" }, fix));
}

function actionsOf(product) {
  if (!product.version) return null;
  const decided = decisions.get(product.id);
  const [follows] = product.costs ?? [];
  const already = product.decision && !decided && { approved: "Approved before.", rejected: "Rejected before.", again: "A remake was asked for." }[product.decision];
  return el(
    "section",
    { class: "actions", "aria-label": "Decide" },
    product.wait && el("p", {}, el("b", {}, "Waiting for you. "), `${product.wait}. If you approve it, the next run spends about ${credits(follows)}.`),
    already && el("p", { class: "quiet" }, already),
    el(
      "div",
      { class: "row" },
      button("Approve", () => decide(product, "approve"), { key: "a", "aria-pressed": String(decided?.word === "approve") }),
      button("Reject…", () => reject(product), { key: "r", "aria-pressed": String(decided?.word === "reject") }),
      button("Remake…", () => remake(product), { key: "m", "aria-pressed": String(decided?.word === "again") }),
      decided && button("Undo", () => undo(product), { key: "u" }),
    ),
    decided && el("p", { class: "quiet" }, `${stampOf(decided)}${decided.word === "choose" || !decided.detail ? "" : `: ${decided.detail}`}. ${saving()}`),
  );
}

function sceneOf(scene, product) {
  const decided = decisions.get(product.id);
  const isPicked = decided?.word === "choose" && decided.detail === String(scene.n);
  const marks = [scene.n === product.used && "in the video", scene.n === product.chosen && "chosen"].filter(Boolean);
  return el(
    "figure",
    { class: `scene${isPicked ? " picked" : ""}${scene.n === product.used ? " used" : ""}` },
    el("a", { href: scene.src[0], target: "_blank", rel: "noreferrer" }, image(scene.src, `Scene ${scene.n} of ${product.id}`, true)),
    el("figcaption", {}, el("b", {}, `Scene ${scene.n}`), marks.length ? ` · ${marks.join(", ")}` : "", scene.face === false && " · no face"),
    scene.why && el("p", { class: scene.bad ? "bad" : "doubt" }, scene.why),
    canChoose(product) && button("Use this scene", () => choose(product, scene.n), { key: String(scene.n), "aria-pressed": String(isPicked), "aria-label": `Use scene ${scene.n}` }),
  );
}

function figure(picture, words, product, kind = "") {
  const link = el("a", { href: picture[0], target: "_blank", rel: "noreferrer", class: kind }, image(picture, `${words} of ${product.id}`));
  return el("figure", {}, link, el("figcaption", {}, words));
}

function factsOf(product) {
  const facts = [
    ["Cost", product.credits != null && credits(product.credits)],
    ["With remakes", product.paid && product.paid !== product.credits && credits(product.paid)],
    ["At Topview", product.seconds && span(product.seconds)],
    ["Mode", product.mode],
    ["Made", product.made && when(product.made)],
  ].filter(([, value]) => value);
  return facts.length > 0 && el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function beforeOf([at, video, poster], product) {
  return el("details", { class: "before" }, el("summary", {}, `The video before, of ${when(at)}`), film(video, poster, `Earlier video of ${product.id}`));
}

function historyOf(product) {
  const lines = (product.history ?? []).map(([at, what]) => el("li", {}, el("time", {}, when(at)), what));
  return lines.length > 0 && el("details", {}, el("summary", {}, `History (${lines.length})`), el("ol", { class: "history" }, lines));
}

function linksOf(product) {
  const page = gallery.dagster && gallery.dagster + encodeURIComponent(product.id);
  return el(
    "div",
    {},
    el(
      "p",
      { class: "row links" },
      product.video && el("a", { href: product.video, download: `${product.id}.mp4` }, "Download the video"),
      page && el("a", { href: page, target: "_blank", rel: "noreferrer" }, "Open in Dagster"),
    ),
    el("details", {}, el("summary", {}, "Commands"), commandRow("Remake everything of it, and pay again", remakeCommand(product.id))),
  );
}

// The id is one word of the shell, and no option, whatever it is.
function remakeCommand(id) {
  const word = /^[\w@%+=:,./-]+$/.test(id) ? id : `'${id.replaceAll("'", `'"'"'`)}'`;
  return `${gallery.program} run --force --product=${word}`;
}

function step(by) {
  const at = shown.list.indexOf(gallery.by.get(shown.product));
  const next = shown.list[(at < 0 ? 0 : at) + by];
  if (next) visit({ product: next.id }, { replace: true });
}
