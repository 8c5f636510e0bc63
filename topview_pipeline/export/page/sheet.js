// The contact sheet: only the cards in and around the window are in the document.

const GAP = 14;
const LINES = 58; // pixels below the picture
const sheet = { cards: new Map(), columns: 1, width: 0, height: 0, focus: 0 };

function layOut() {
  const room = byId("sheet").clientWidth;
  const least = room < 600 ? 140 : 168;
  sheet.columns = Math.max(2, Math.floor((room + GAP) / (least + GAP)));
  sheet.width = (room - GAP * (sheet.columns - 1)) / sheet.columns;
  sheet.height = Math.round((sheet.width * 16) / 9) + LINES + GAP;
  const rows = Math.ceil(shown.list.length / sheet.columns);
  byId("sheet").style.height = `${Math.max(0, rows * sheet.height - GAP)}px`;
  byId("empty").hidden = shown.list.length > 0;
  byId("sheet").replaceChildren();
  sheet.cards.clear();
  drawCards();
}

function drawCards() {
  const top = scrollY - byId("sheet").offsetTop;
  const from = Math.max(0, Math.floor(top / sheet.height) - 1) * sheet.columns;
  const to = Math.min(shown.list.length, (Math.floor((top + innerHeight) / sheet.height) + 2) * sheet.columns);
  for (const [at, card] of sheet.cards) {
    if (at < from || at >= to) {
      card.remove();
      sheet.cards.delete(at);
    }
  }
  let before = null; // cards are in the document in their order, for keyboard and reader
  for (let at = from; at < to; at++) {
    let card = sheet.cards.get(at);
    if (!card) {
      card = cardOf(shown.list[at], at);
      sheet.cards.set(at, card);
      if (before) before.after(card);
      else byId("sheet").prepend(card);
    }
    before = card;
  }
}

function redrawCard(product) {
  const at = shown.list.indexOf(product), card = sheet.cards.get(at);
  if (!card) return;
  const hadFocus = card.contains(document.activeElement), fresh = cardOf(product, at);
  card.replaceWith(fresh);
  sheet.cards.set(at, fresh);
  if (hadFocus) fresh.firstChild.focus({ preventScroll: true });
}

function cardOf(product, at) {
  const decided = decisions.get(product.id);
  const status = gallery.statuses[product.status];
  const pictures = picturesOf(product);
  const [note] = product.notes;
  const mark = product.warning ? "please look" : product.chosenSince && `scene ${product.chosen} chosen`;
  const link = el(
    "a",
    { class: "card", href: hashOf({ product: product.id }), onfocus: () => { sheet.focus = at; } },
    el(
      "span",
      { class: `picture n${pictures.length}` },
      pictures.map((one) => image(one, "")),
      note && ["failed", "held"].includes(note[0]) && el("span", { class: `reason ${note[0]}` }, el("b", {}, `${note[1]}. `), note[2]),
      !pictures.length && !note && el("span", { class: "nothing" }, status),
      product.video && el("span", { class: "triangle" }),
      !note && mark && el("span", { class: "mark" }, mark),
      decided && el("span", { class: `stamp ${decided.word}` }, stampOf(decided)),
    ),
    el("b", { class: "name" }, product.id),
    el(
      "span",
      { class: "line" },
      dot(product.status),
      status,
      product.paid ? el("span", { class: "paid" }, credits(product.paid)) : null,
    ),
  );
  if (product.video) playOnHover(link, product);
  const card = el("div", { class: "cell", role: "listitem", "aria-setsize": shown.list.length, "aria-posinset": at + 1 }, link);
  const x = (at % sheet.columns) * (sheet.width + GAP), y = Math.floor(at / sheet.columns) * sheet.height;
  card.style.transform = `translate(${x}px, ${y}px)`;
  card.style.width = `${sheet.width}px`;
  card.style.height = `${sheet.height - GAP}px`;
  return card;
}

// What one decides about, else the newest that there is.
function picturesOf(product) {
  const scenes = product.scenes.map((scene) => scene.src);
  if (product.status === "waiting" && product.about === "scene") return scenes.slice(0, 4);
  const scene = product.scenes.find((one) => one.n === (product.used ?? product.chosen));
  const one = (product.video && product.poster) || (scene ?? product.scenes[0])?.src || product.cutout || product.photo;
  return one ? [one] : [];
}

function playOnHover(card, product) {
  let video = null;
  card.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "mouse" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    video = el("video", { src: product.video, loop: true, playsinline: true, "aria-hidden": "true", tabindex: "-1" });
    video.muted = true;
    card.querySelector(".picture").append(video);
    video.play().catch(() => {});
  });
  card.addEventListener("pointerleave", () => {
    video?.removeAttribute("src");
    video?.load();
    video?.remove();
    video = null;
  });
}

function focusCard(at) {
  const place = Math.min(Math.max(at, 0), shown.list.length - 1);
  if (place < 0) return;
  const top = byId("sheet").offsetTop + Math.floor(place / sheet.columns) * sheet.height;
  const bar = document.querySelector(".bar").offsetHeight + 8;
  const tray = byId("tray").offsetHeight;
  if (top < scrollY + bar) scrollTo(0, top - bar);
  else if (top + sheet.height > scrollY + innerHeight - tray) scrollTo(0, top + sheet.height - innerHeight + tray);
  drawCards();
  sheet.focus = place;
  sheet.cards.get(place)?.firstChild.focus({ preventScroll: true });
}
