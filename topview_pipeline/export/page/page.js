// The page as a whole: chips, address, keys.

function drawChips() {
  const chips = [["", "all"], ...Object.entries(gallery.statuses), ...Object.entries(gallery.flags), ["decided", "decided here"]];
  const built = chips.map(([show, words]) => {
    const number = gallery.products.filter((product) => isShown(product, show)).length;
    if (show && !number && show !== shown.show) return null;
    const act = () => visit({ show, product: "" });
    return button([show in gallery.statuses && dot(show), `${words} `, el("b", {}, number.toLocaleString("en"))].filter(Boolean), act, { class: "chip", "aria-pressed": String(show === shown.show), "data-show": show });
  });
  const held = document.activeElement?.dataset?.show;
  byId("chips").replaceChildren(...built.filter(Boolean));
  if (held != null) byId("chips").querySelector(`[data-show="${held}"]`)?.focus();
}

function drawSums() {
  const sums = [count(gallery.products.length, "product"), `${credits(Math.round(gallery.credits * 100) / 100)} in all`, `${credits(Math.round(gallery.today * 100) / 100)} today`];
  byId("sums").textContent = sums.join(" · ");
  byId("made").textContent = `Written ${when(gallery.made)}. It shows what was there then.`;
}

function visit(changes, { replace = false } = {}) {
  const hash = hashOf(changes);
  history[replace ? "replaceState" : "pushState"](null, "", hash === "#" ? location.pathname + location.search : hash);
  readAddress();
}

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const before = hashOf({ product: "" });
  for (const name of ["show", "find", "sort", "product"]) shown[name] = asked.get(name) ?? "";
  if (byId("find").value !== shown.find) byId("find").value = shown.find;
  byId("sort").value = shown.sort in ORDERS ? shown.sort : "";
  if (hashOf({ product: "" }) !== before || !shown.isDrawn) {
    shown.isDrawn = true;
    select();
    drawChips();
    layOut();
    if (!shown.product) scrollTo(0, 0);
  }
  document.title = gallery.title;
  openProduct();
}

function closed() {
  if (!shown.product) return;
  const at = shown.list.indexOf(gallery.by.get(shown.product));
  byId("view").replaceChildren(); // its videos stop
  visit({ product: "" }, { replace: true });
  focusCard(at < 0 ? sheet.focus : at);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("ask").open) return;
  if (event.target.matches("input, select, textarea")) return;
  const product = shown.product ? gallery.by.get(shown.product) : focused();
  const act = actOf(event, product);
  if (!act) return;
  event.preventDefault();
  act();
}

function focused() {
  const cell = document.activeElement?.closest?.(".cell");
  return cell ? shown.list[Number(cell.getAttribute("aria-posinset")) - 1] : null;
}

function actOf({ key, target }, product) {
  const isLarge = Boolean(shown.product);
  const ways = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -sheet.columns, ArrowDown: sheet.columns };
  if (key in ways && !target.matches("video, summary")) {
    if (!isLarge) return () => focusCard(focused() ? sheet.focus + ways[key] : sheet.focus);
    return Math.abs(ways[key]) === 1 && key !== "ArrowUp" && key !== "ArrowDown" ? () => step(ways[key]) : null;
  }
  if (key === "?") return showHelp;
  if (key === "/" && !isLarge) return () => byId("find").focus();
  if (key === "u") return () => undo();
  if (!product) return null;
  const acts = { a: () => decide(product, "approve"), r: () => reject(product), m: () => remake(product) };
  if (/^[1-9]$/.test(key)) return () => choose(product, Number(key));
  return acts[key];
}

async function start() {
  if (!("DecompressionStream" in window)) {
    byId("sums").textContent = "This browser is too old for the page: use one of 2023 or later.";
    return;
  }
  await unpack();
  drawSums();
  recall();
  addEventListener("scroll", drawCards, { passive: true });
  addEventListener("resize", layOut);
  addEventListener("hashchange", readAddress);
  addEventListener("popstate", readAddress);
  document.addEventListener("keydown", pressed);
  byId("view").addEventListener("close", closed);
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("find").addEventListener("input", () => visit({ find: byId("find").value, product: "" }, { replace: true }));
  byId("sort").addEventListener("change", () => visit({ sort: byId("sort").value, product: "" }, { replace: true }));
  byId("help").addEventListener("click", showHelp);
  byId("clear").addEventListener("click", () => visit({ show: "", find: "", product: "" }));
  readAddress();
  if (new URLSearchParams(location.hash.slice(1)).has("token")) visit({}, { replace: true });
  drawTray();
}

start();
