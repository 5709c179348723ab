// What the room tells its reader in passing. Errors stay until they are put away.

import { find, icon, make } from "./dom.js";
import { clock } from "./words.js";

const PASSING_MS = 6_000;

/** Tell something that needs no answer. */
export function tell(words) {
  const notice = make("div", { class: "notice" }, icon("info"), make("p", { text: words }));
  find("#passing").append(notice);
  setTimeout(() => notice.remove(), PASSING_MS);
}

/** Tell what went wrong, and offer to try again. */
export function warn(words, again = null) {
  for (const old of find("#warnings").children) if (find("p", old).textContent === words) old.remove();
  const notice = make("div", { class: "notice warning" }, icon("caution"), make("p", { text: words }));
  if (again) {
    const retry = () => {
      notice.remove();
      again();
    };
    notice.append(make("button", { type: "button", text: "Try again", on: { click: retry } }));
  }
  notice.append(
    make("button", { type: "button", class: "bare", "aria-label": "Put away", on: { click: () => notice.remove() } }, icon("close")),
  );
  find("#warnings").append(notice);
}

let since = null;

/** Say in the head of the page for as long as nobody answers since when: what is shown may be old. */
export function lost(on) {
  since = on ? (since ?? clock(new Date())) : null;
  const words = on ? `No connection since ${since}` : "";
  if (find("#connection").textContent !== words) find("#connection").textContent = words;
}

/** Put all warnings away; tell whether there were any. */
export function putAway() {
  const some = find("#warnings").childElementCount > 0;
  find("#warnings").replaceChildren();
  return some;
}
