// Elements made by hand: text is always set as text, so that nothing a film, a model or a person wrote is read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `on` holds listeners, `text` its words; all else are attributes; false, null and undefined are left out. */
export function make(tag, { on = {}, text = null, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  if (text !== null) element.textContent = text;
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Draw a sign of icons.svg; it says nothing to those who listen, so words must stand beside it. */
export function icon(name) {
  return draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `/static/icons.svg#${name}` }));
}

/** Make a button with a sign, words, and the key that does the same. */
export function button(words, { sign = null, key = null, ...rest } = {}) {
  const hint = key ? { title: `${rest.title ?? words} (${key})`, "aria-keyshortcuts": key } : {};
  return make("button", { type: "button", ...rest, ...hint }, sign && icon(sign), make("span", { text: words }));
}

/** Find one element of the page. */
export function find(selector, within = document) {
  return within.querySelector(selector);
}

/** Say that this stands on what a model wrote. */
export function unverified(words = "AI draft — not verified") {
  return make("span", { class: "unverified" }, icon("caution"), make("span", { text: words }));
}
