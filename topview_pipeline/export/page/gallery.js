"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll(".card")];
  const text = byId("text"), stage = byId("stage"), status = byId("status");

  // Upper case has one form of sigma and spells ß out; by way of lower case that of ẞ, too.
  const folded = (said) => said.normalize("NFKC").toLowerCase().toUpperCase();
  const texts = new Map(cards.map((card) => [card, folded(card.dataset.search)]));

  const fits = (card, words) => {
    const found = card.dataset[stage.value ? stage.value.toLowerCase() : "status"];
    if (status.value ? found !== status.value : stage.value && found === "new") return false;
    return words.every((word) => texts.get(card).includes(word));
  };

  const filter = () => {
    const words = folded(text.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const here = fits(card, words);
      card.hidden = !here;
      shown += here;
      if (!here) card.querySelectorAll("video").forEach((video) => video.pause());
    }
    byId("shown").textContent = `${shown} of ${cards.length}`;
    byId("empty").hidden = shown > 0;
  };

  const play = (link) => {
    const video = document.createElement("video");
    video.controls = true;
    video.playsInline = true;
    video.src = link.href;
    if (link.dataset.poster) video.poster = link.dataset.poster;
    video.setAttribute("aria-label", link.getAttribute("aria-label"));
    document.querySelectorAll("video").forEach((other) => other.pause());
    link.replaceWith(video);
    video.focus();
    video.play().catch(() => {}); // the controls are there
  };

  const copy = async (button) => {
    const said = button.querySelector("span"), before = said.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(button.querySelector("code"));
      said.textContent = "selected";
    }
    setTimeout(() => { said.textContent = before; }, 1500);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.play"), button = event.target.closest("button.copy");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      play(link);
    } else if (button) {
      copy(button);
    }
  });
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
