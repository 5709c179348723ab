// The keys of a reader's day: one table, from which the handler, the help and the manual's list come.

import { liking, keepLiking } from "./kept.js";
import { find, make } from "./dom.js";

/** [what they are for, [[keys, words, action]]]. Keys are as KeyboardEvent.key tells them. */
export const KEYS = [
  ["Worklist", [
    ["j", "Next study", "next"],
    ["k", "Previous study", "previous"],
    ["/", "Search", "search"],
    ["u", "Add films", "upload"],
  ]],
  ["Report", [
    ["d", "Draft a report", "draft"],
    ["e", "Edit the report", "edit"],
    ["Ctrl+s", "Save", "save"],
    ["Ctrl+Enter", "Sign; asked whether to, sign and go to the next study", "sign"],
    ["o", "Reopen a signed report", "reopen"],
    ["Escape", "Leave a field, close, stop drafting, take the map off, leave the film alone", "leave"],
  ]],
  ["Evidence", [
    ["n", "Next sentence and its evidence map", "nextSentence"],
    ["b", "Sentence before", "previousSentence"],
    ["h", "Hide or show the map", "hideMap"],
    ["g", "Findings", "findings"],
    ["s", "Similar studies", "similar"],
    ["a", "Ask a question", "ask"],
    ["y", "Record of the study", "record"],
  ]],
  ["Film", [
    ["w", "Window: drag across for contrast, up for brightness", "window"],
    ["v", "Move: drag the film", "shift"],
    ["m", "Measure: drag a line", "measure"],
    ["Delete", "Take the measures off", "clearMeasures"],
    ["f", "Fit the whole film", "fit"],
    ["1", "One pixel of the film on one of the screen", "oneToOne"],
    ["+", "Zoom in", "zoomIn"],
    ["-", "Zoom out", "zoomOut"],
    ["i", "Invert", "invert"],
    ["2", "Window for what is dark: lungs, pneumothorax", "dark"],
    ["3", "Window for what is bright: mediastinum, bone, behind the heart", "bright"],
    ["4", "Window over all greys of the film", "whole"],
    ["r", "Window as it came", "resetWindow"],
    ["x", "Next film of the study", "nextFilm"],
    ["c", "Compare with another study of the patient", "compare"],
    ["l", "Link the two films", "link"],
  ]],
  ["Room", [
    ["z", "Film alone; again: all that was there", "alone"],
    ["q", "Fold the worklist away, or show it", "fold"],
    ["t", "Light or dark", "theme"],
    ["Ctrl+p", "Print the report", null],
    ["?", "These keys", "help"],
  ]],
];
/** Said below the table: what the film answers to while it has the focus. */
export const ON_FILM =
  "On the film: arrows change the window, Shift with arrows moves it. The wheel zooms, the middle button (or Shift) moves, the right button sets the window, whatever is chosen; two fingers zoom and move. A double click fits; of a film that fits it makes the film stand alone.";

const TYPED_IN = "input, textarea, select, [contenteditable]";
/** Work also while a reader writes. */
const ANYWHERE = new Set(["Ctrl+s", "Ctrl+Enter", "Escape"]);

/** Answer to the keys by calling `actions`, functions by name. */
export function begin(actions) {
  const table = new Map(KEYS.flatMap(([, rows]) => rows).map(([keys, , action]) => [keys, action]));
  document.addEventListener("keydown", (event) => {
    const pressed = event.ctrlKey || event.metaKey ? `Ctrl+${signOf(event)}` : signOf(event);
    const action = table.get(pressed);
    if (!action || event.altKey || event.repeat && pressed.startsWith("Ctrl")) return;
    if (!ANYWHERE.has(pressed) && (event.target.matches(TYPED_IN) || single(pressed) === "off")) return;
    // A dialog answers for itself; what lies behind it must not.
    if (find("dialog[open]") && pressed !== "?") return;
    if (pressed !== "Escape") event.preventDefault();
    actions[action]();
  });
}

/** Letters are the same with caps lock on, and + is where = is, too. */
const signOf = ({ key }) => (key === "=" ? "+" : key.length === 1 ? key.toLowerCase() : key);

/** Keys of one sign can be switched off, for those who dictate (WCAG 2.1, 2.1.4). */
const single = (pressed) => (pressed.length === 1 && pressed !== "?" ? liking("keys") : null);

/** Show the keys; shown already, put them away. */
export function help() {
  const shown = find("#key-help");
  if (shown) return shown.close();
  const groups = KEYS.map(([name, rows]) =>
    make("section", {}, make("h3", { text: name }), make("dl", {}, rows.flatMap(([keys, words]) => [make("dt", {}, ...caps(keys)), make("dd", { text: words })]))),
  );
  const box = make("input", { type: "checkbox", checked: liking("keys") !== "off" });
  box.addEventListener("change", () => keepLiking("keys", box.checked ? null : "off"));
  const dialog = make(
    "dialog",
    { id: "key-help", "aria-labelledby": "key-help-title", on: { close: () => dialog.remove() } },
    make("form", { method: "dialog" }, make("h2", { id: "key-help-title", text: "Keys" }), make("button", { text: "Close" })),
    make("div", { class: "groups" }, groups),
    make("p", { class: "quiet", text: ON_FILM }),
    make("label", {}, box, " Keys of a single sign work"),
  );
  document.body.append(dialog);
  dialog.showModal();
}

const caps = (keys) => keys.split(/(?<=.)\+(?=.)/).map((key) => make("kbd", { text: { Escape: "Esc", Delete: "Del" }[key] ?? key }));
