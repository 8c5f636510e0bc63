// Parts of the page. Texts become text nodes: nothing that a product says is markup.

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false && child !== ""));
  return node;
}

// A picture is [its address, its thumbnail's], the second only where there is one.
// A large one stands on its thumbnail until it is loaded.
function image([full, thumb], alt, isFull = false) {
  const picture = el("img", { src: isFull ? full : thumb ?? full, alt, decoding: "async" });
  if (isFull && thumb) picture.style.background = `center / contain no-repeat url("${thumb}")`;
  return picture;
}

function dot(status) {
  return el("i", { class: `dot ${status}` });
}

function button(words, act, options = {}) {
  const { key, ...attributes } = options;
  return el("button", { type: "button", onclick: act, ...attributes }, words, key && el("kbd", {}, key));
}

function say(words) {
  byId("said").textContent = words;
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`);
    return true;
  } catch {
    return false;
  }
}

function commandRow(what, command) {
  const code = el("code", { tabindex: "0" }, command);
  const pressed = async () => {
    const done = await copy(command, "Command");
    if (!done) getSelection().selectAllChildren(code);
    act.textContent = done ? "Copied" : "Selected";
  };
  const act = button("Copy", pressed, { class: "copy", "aria-label": `Copy: ${what}` });
  return el("p", { class: "command" }, el("span", {}, what), code, act);
}

// A question in a dialog: null when it was left, else what was written (or true). The answer is there
// at once, and not when the dialog's own event comes: the next key may come before that.
function ask(title, text, { yes, input, value = "" }) {
  const dialog = byId("ask");
  return new Promise((answer) => {
    const field = input && el("input", { id: "ask-input", value, required: true, autocomplete: "off", maxlength: 400 });
    const end = (result) => {
      answer(result);
      dialog.close();
    };
    const agree = (event) => {
      event.preventDefault();
      end(field ? field.value : true);
    };
    const form = el(
      "form",
      { onsubmit: agree },
      el("h2", { id: "ask-title" }, title),
      text && el("p", {}, text),
      input && el("label", { for: "ask-input" }, input),
      field,
      el("div", { class: "row" }, el("button", { class: "main" }, yes), button("Cancel", () => end(null))),
    );
    dialog.replaceChildren(form);
    dialog.onclose = () => answer(null);
    dialog.showModal();
    field?.select();
  });
}

function showHelp() {
  const keys = [
    ["← →", "previous, next product"],
    ["Enter", "open it large"],
    ["Esc", "back to all products"],
    ["a", "approve"],
    ["r", "reject, with a reason"],
    ["1 to 9", "choose this scene"],
    ["m", "remake: asks first"],
    ["u", "undo the last decision"],
    ["/", "search"],
  ];
  const rows = keys.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)));
  const dialog = byId("ask");
  const close = button("Close", () => dialog.close(), { class: "main" });
  dialog.replaceChildren(el("h2", { id: "ask-title" }, "Keys"), el("dl", { class: "keys" }, rows), el("div", { class: "row" }, close));
  dialog.onclose = null;
  dialog.showModal();
}
