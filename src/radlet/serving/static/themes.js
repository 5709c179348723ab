// The button that turns a page from dark to light and back.

import { find, icon, make } from "./dom.js";
import { keepLiking } from "./kept.js";

/** Wire the button. */
export function begin() {
  find("#theme").addEventListener("click", turn);
  new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  tell();
}

/** Turn to the other theme. */
export function turn() {
  const now = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  const system = window.matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  // Whoever turns back to the system's theme follows it again.
  keepLiking("theme", now === system ? null : now);
  window.dispatchEvent(new Event("radlet-theme"));
}

function tell() {
  const words = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
  find("#theme").replaceChildren(icon(words === "Light" ? "sun" : "moon"), make("span", { text: words }));
  find("#theme").title = `${words} room (t)`;
}
