// The page as a whole: chips, address, keys.

function counted() {
  const number = { "": gallery.products.length, warning: 0, chosen: 0, decided: decisions.size };
  for (const product of gallery.products) {
    number[product.status] = (number[product.status] ?? 0) + 1;
    number.warning += Boolean(product.warning);
    number.chosen += product.chosenSince;
  }
  return number;
}

function drawChips() {
  const number = counted();
  const chips = [["", "all"], ...Object.entries(gallery.statuses), ...Object.entries(gallery.flags), ["decided", "decided here"]];
  const built = chips.map(([show, words]) => {
    if (show && !number[show] && show !== shown.show) return null;
    const act = () => visit({ show, product: "" });
    const attributes = { class: "chip", "aria-pressed": String(show === shown.show), "data-show": show };
    const label = [show in gallery.statuses && dot(show), `${words} `, el("b", {}, (number[show] ?? 0).toLocaleString("en"))];
    return button(label.filter(Boolean), act, attributes);
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

// The address follows what is shown. A browser takes some 20 new addresses a second and drops the rest:
// steps from one product to the next write only the last.
let writing = 0;

function visit(changes, { replace = false } = {}) {
  show({ ...shown, ...changes });
  clearTimeout(writing);
  if (replace) writing = setTimeout(() => history.replaceState(null, "", address()), 150);
  else history.pushState(null, "", address());
}

function address() {
  const hash = hashOf({});
  return hash === "#" ? location.pathname + location.search : hash;
}

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  show(Object.fromEntries(["show", "find", "sort", "product"].map((name) => [name, asked.get(name) ?? ""])));
}

function show({ show, find, sort, product }) {
  const before = hashOf({ product: "" });
  Object.assign(shown, { show, find, sort, product });
  if (byId("find").value !== find) byId("find").value = find;
  byId("sort").value = sort in ORDERS ? sort : "";
  if (hashOf({ product: "" }) !== before || !shown.isDrawn) {
    shown.isDrawn = true;
    select();
    drawChips();
    layOut();
    if (!product) scrollTo(0, 0);
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
  if (event.repeat && !event.key.startsWith("Arrow")) return; // a key held down decides once
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
  if (key in ways && !target.matches("video")) {
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
  if (location.hash.includes("token=")) history.replaceState(null, "", address());
  drawTray();
}

start();
