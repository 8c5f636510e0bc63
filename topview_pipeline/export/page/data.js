"use strict";
// The products of the page, and which of them are shown.

const byId = (id) => document.getElementById(id);
const gallery = {}; // what the page was written with
const shown = { show: "", find: "", sort: "", product: "", list: [] };

async function unpack() {
  const packed = atob(byId("data").textContent);
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  Object.assign(gallery, JSON.parse(await new Response(stream).text()));
  gallery.by = new Map();
  gallery.products.forEach((product, place) => {
    product.place = place;
    product.scenes ??= [];
    product.notes ??= [];
    product.chosenSince = Boolean(product.chosen && product.video && product.chosen !== product.used);
    gallery.by.set(product.id, product);
  });
}

// The text that a search looks in, made at the first one.
function textOf(product) {
  const parts = [product.id, product.script, ...product.notes.flat(), product.warning, product.wait];
  product.text ??= folded(parts.join(" "));
  return product.text;
}

// Upper case has one form of sigma and spells ß out; by way of lower case that of ẞ, too.
function folded(said) {
  return said.normalize("NFKC").toLowerCase().toUpperCase();
}

const FILTERS = {
  warning: (product) => Boolean(product.warning),
  chosen: (product) => product.chosenSince,
  decided: (product) => decisions.has(product.id),
};

function isShown(product, show) {
  if (!show) return true;
  return show in FILTERS ? FILTERS[show](product) : product.status === show;
}

const ORDERS = {
  need: (a, b) => need(a) - need(b),
  newest: (a, b) => (b.made ?? 0) - (a.made ?? 0),
  credits: (a, b) => (b.paid ?? 0) - (a.paid ?? 0),
  name: (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
};

function need(product) {
  return Object.keys(gallery.statuses).indexOf(product.status);
}

// A filter of decisions keeps what was there when it was chosen: nothing moves while one decides.
function select() {
  const words = folded(shown.find).split(/\s+/).filter(Boolean);
  shown.list = gallery.products.filter(
    (product) => isShown(product, shown.show) && words.every((word) => textOf(product).includes(word)),
  );
  if (shown.sort in ORDERS) shown.list.sort((a, b) => ORDERS[shown.sort](a, b) || a.place - b.place);
}

function hashOf(changes) {
  const values = { ...shown, ...changes };
  const names = ["product", "show", "find", "sort"].filter((name) => values[name]);
  return `#${new URLSearchParams(names.map((name) => [name, values[name]]))}`;
}

// Words for numbers and times.

function credits(amount) {
  if (amount == null) return "a price not known yet";
  const number = Number.isInteger(amount) ? amount.toLocaleString("en") : amount.toFixed(2);
  return `${number} ${amount === 1 ? "credit" : "credits"}`;
}

function count(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

function when(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
