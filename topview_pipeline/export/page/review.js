// Decisions: kept in the browser until they are handed over, in the form that `review --from` takes.

const decisions = new Map(); // by product id: word, detail, version; the last one is the newest
const WORDS = { approve: "approved", reject: "rejected", choose: "chosen", again: "to remake" };
let token = "";
let lastReason = "";

function storage() {
  try {
    return localStorage;
  } catch {
    return null; // then they are kept as long as the page is open
  }
}

const keptAt = () => `topview gallery ${gallery.key}`;
const keptToken = () => `topview gallery token ${location.pathname}`;

function recall() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  token = given ?? storage()?.getItem(keptToken()) ?? "";
  if (!location.protocol.startsWith("http")) token = "";
  if (given) storage()?.setItem(keptToken(), given);
  const kept = JSON.parse(storage()?.getItem(keptAt()) ?? "[]");
  for (const [id, one] of kept) {
    // A new scene needs a new decision.
    if (gallery.by.get(id)?.version === one.version) decisions.set(id, one);
  }
}

function remember() {
  storage()?.setItem(keptAt(), JSON.stringify([...decisions]));
}

const canChoose = (product) => product.version && product.about === "scene";
const saving = () => (token ? "Not saved yet." : "Not handed over yet.");

function stampOf({ word, detail }) {
  return word === "choose" ? `Scene ${detail}` : { approve: "Approved", reject: "Rejected", again: "Remake" }[word];
}

function decide(product, word, detail = "") {
  if (!product.version) {
    say(`There is nothing of ${product.id} to decide about yet.`);
    return;
  }
  decisions.delete(product.id); // the newest is the last
  decisions.set(product.id, { word, detail, version: product.version });
  say(`${product.id}: ${WORDS[word]}.`);
  changed(product);
  advance(product);
}

function choose(product, number) {
  if (canChoose(product) && product.scenes.some((scene) => scene.n === number)) decide(product, "choose", String(number));
}

async function reject(product) {
  if (!product.version) return decide(product, "reject");
  const text = "Nothing more is spent on what is there now.";
  const why = await ask(`Reject ${product.id}?`, text, { yes: "Reject", input: "Why", value: lastReason });
  if (why === null) return back(product);
  lastReason = why.replace(/\s+/g, " ").trim();
  return lastReason && decide(product, "reject", lastReason);
}

async function remake(product) {
  if (!product.version) return decide(product, "again");
  const cost = credits(product.costs?.[1]);
  const text = `The next run remakes its ${product.about === "scene" ? "scenes" : "cut-out"} and what follows, for about ${cost}. Nothing is spent now.`;
  return (await ask(`Remake ${product.id}?`, text, { yes: "Remake" })) ? decide(product, "again") : back(product);
}

function undo(product = gallery.by.get([...decisions.keys()].at(-1))) {
  if (!product || !decisions.delete(product.id)) return;
  say(`${product.id}: undone.`);
  changed(product);
  if (shown.product) visit({ product: product.id }, { replace: true });
  else focusCard(shown.list.indexOf(product));
}

function changed(product) {
  remember();
  redrawCard(product);
  drawTray();
  const chip = byId("chips").querySelector('[data-show="decided"] b');
  if (chip && decisions.size) chip.textContent = decisions.size.toLocaleString("en");
  else drawChips();
}

// On to the next one that is not decided; at the end it stays.
function advance(product) {
  const at = shown.list.indexOf(product);
  const rest = shown.list.slice(at + 1);
  const next = rest.find((one) => one.version && !decisions.has(one.id)) ?? product;
  if (shown.product) visit({ product: next.id }, { replace: true });
  else focusCard(shown.list.indexOf(next));
}

function back(product) {
  if (!shown.product) focusCard(shown.list.indexOf(product));
}

function listed() {
  const lines = [...decisions].map(([id, one]) => [one.word, id, one.detail, one.version].join("\t"));
  return `${lines.join("\n")}\n`;
}

function spends() {
  let known = 0, unknown = 0;
  for (const [id, { word }] of decisions) {
    const cost = word === "reject" ? 0 : gallery.by.get(id).costs?.[word === "again" ? 1 : 0];
    if (cost == null) unknown += 1;
    else known += cost;
  }
  return `about ${credits(Math.round(known * 100) / 100)}${unknown ? `, and ${count(unknown, "price")} not known yet` : ""}`;
}

function drawTray(message = "") {
  const tray = byId("tray"), number = new Map();
  for (const { word } of decisions.values()) number.set(word, (number.get(word) ?? 0) + 1);
  tray.hidden = !decisions.size && !message;
  document.body.classList.toggle("with-tray", !tray.hidden);
  const sum = [...number].map(([word, many]) => `${many.toLocaleString("en")} ${WORDS[word]}`).join(", ");
  tray.replaceChildren(
    el("p", {}, message && el("span", { class: "message" }, message), decisions.size > 0 && [el("b", {}, sum), `. The next run then spends ${spends()}.`]),
    decisions.size > 0
      ? el(
          "div",
          { class: "row" },
          token && button("Save", save, { class: "main", id: "save" }),
          button("Copy list", copyList, { class: token ? "" : "main" }),
          button("Download list", downloadList),
          button("Undo", () => undo(), { key: "u" }),
          el("details", {}, el("summary", {}, "Commands"), commandRow("Take the list", `${gallery.program} review --from decisions.tsv`), button("Forget all", forget)),
        )
      : button("Close", () => drawTray()),
  );
}

async function copyList() {
  const done = await copy(listed(), "List");
  drawTray(done ? "Copied: paste it into review --from - and press Ctrl-D. " : "This browser does not let the page copy: download the list. ");
}

function downloadList() {
  const url = URL.createObjectURL(new Blob([listed()], { type: "text/tab-separated-values" }));
  el("a", { href: url, download: "decisions.tsv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function forget() {
  if (!(await ask("Forget all decisions?", `${count(decisions.size, "decision")} that nobody has taken yet.`, { yes: "Forget" }))) return;
  decisions.clear();
  afterAll();
}

async function save() {
  byId("save").disabled = true;
  let answer = null;
  try {
    answer = await fetch("decide", { method: "POST", body: listed(), headers: { "X-Gallery-Token": token } });
  } catch {
    drawTray("The gallery's server does not answer. Your decisions are kept here. ");
    return;
  }
  const text = await answer.text();
  if (!answer.ok) {
    drawTray(`Not saved: ${text} `);
    return;
  }
  for (const [id, { word, detail }] of decisions) {
    const product = gallery.by.get(id);
    product.decision = { approve: "approved", choose: "approved", reject: "rejected", again: "again" }[word];
    if (word === "choose") product.chosen = Number(detail);
    product.chosenSince = Boolean(product.video && product.chosen && product.chosen !== product.used);
  }
  decisions.clear();
  afterAll(`Saved: ${text} `);
}

function afterAll(message) {
  remember();
  drawTray(message);
  drawChips();
  layOut();
  if (shown.product) openProduct();
}
