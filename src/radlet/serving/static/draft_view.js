// What the model wrote of the open study, or is writing: always under the words that nobody has verified it.

import * as api from "./api.js";
import { button, find, icon, make, unverified } from "./dom.js";
import * as drafting from "./drafting.js";
import { card, pin, sentences } from "./evidence.js";
import { tell, warn } from "./notices.js";
import { draft, reading, study } from "./reading.js";
import { moment } from "./words.js";

const FEEDBACK = [
  ["right", "Right", "yes"],
  ["wrong", "Wrong", "no"],
  ["missing", "Something is missing", "add"],
  ["other", "Other", "more"],
];
/** What the gate said, by study and films: one that comes later is judged too. */
const verdicts = new Map();
const filmsOf = ({ id, images }) => [id, ...images.map((image) => image.id)].join();
/** Which draft is shown, so that it is not drawn anew under the reader's hand. */
let drawn = null;

/** Wire the draft. */
export function begin() {
  reading.addEventListener("study", ({ detail }) => {
    const now = `${study().id}/${study().state === "signed"}/${draft()?.id}`;
    if (detail.another || now !== drawn) render();
    drawn = now;
    judge();
  });
  reading.addEventListener("drafting", ({ detail }) => detail.studyId === study()?.id && progress());
}

/** Draft the open study. */
export function start() {
  if (!study()) return;
  if (study().state === "signed") return tell("This report is signed: reopen it to draft anew.");
  drafting.start(study().id);
}

/** Stop the draft of the open study; tells whether one was under way. */
export function stop() {
  const going = study() && drafting.underWay(study().id);
  if (going) drafting.stop(study().id);
  return Boolean(going);
}

/** Ask the gate about the films, and tell what it says. */
async function judge() {
  const [{ id }, films] = [study(), filmsOf(study())];
  try {
    if (!verdicts.has(films)) verdicts.set(films, await api.gate(id));
  } catch (problem) {
    warn(problem.message);
  }
  if (study().id === id) tellGate();
}

function tellGate() {
  const place = find("#gate");
  const films = Object.values(verdicts.get(filmsOf(study())) ?? {});
  if (!place || !films.length) return;
  const reasons = films.flatMap((verdict, number) => verdict.reasons.map((reason) => ({ ...reason, number })));
  const passed = films.some((verdict) => verdict.passed);
  const words = !passed
    ? "The input gate refused every film: no draft can be written."
    : reasons.length ? "The input gate let the study pass, with this said:" : "The film passed the input gate.";
  const list = reasons.map(({ action, words: why, number }) =>
    make("li", { "data-action": action }, icon(action === "refuse" ? "refused" : "caution"), films.length > 1 ? `Film ${number + 1}: ${why}` : why),
  );
  // Where none can be written, nothing asks for one.
  find("#draft > button")?.classList.toggle("main", passed);
  place.dataset.passed = passed && !reasons.length ? "yes" : passed ? "warned" : "no";
  place.replaceChildren(make("p", {}, icon(passed ? (reasons.length ? "caution" : "signed") : "refused"), words), ...(list.length ? [make("ul", {}, list)] : []));
}

/** Show the draft anew: that which is under way, else the last. */
function render() {
  pin(null);
  const going = drafting.underWay(study().id);
  const view = find("#draft");
  if (going) return renderGoing(view, going);
  const last = draft();
  view.setAttribute("aria-busy", "false");
  const gate = make("div", { id: "gate" });
  // What nobody wrote needs no such mark: it stands where a draft stands.
  const head = make("div", { class: "head" }, make("h2", { text: "Draft" }), last && unverified());
  if (!last) {
    const ask = button("Draft a report", { sign: "drafted", key: "d", class: "main", on: { click: start } });
    view.replaceChildren(head, gate, make("p", { class: "quiet", text: "No draft yet. Whatever the model writes is a suggestion: read the film first." }), ask);
  } else {
    if (study().state !== "signed") head.append(button("Draft anew", { sign: "again", key: "d", class: "chip", on: { click: start } }));
    const by = `${last.model.name} (${last.model.checkpoint_digest.slice(0, 8)}) · ${moment(last.created_at)} · ${last.seconds.toFixed(1)} s`;
    view.replaceChildren(
      head,
      gate,
      make("p", { class: "draft-text" }, ...sentences(last)),
      card(),
      make("p", { class: "quiet by", text: by, title: by }),
      feedback(last),
    );
    if (!last.text.trim()) find(".draft-text").replaceChildren(make("em", { text: "The model wrote nothing." }));
  }
  tellGate();
}

function renderGoing(view, going) {
  view.setAttribute("aria-busy", "true");
  view.replaceChildren(
    make("div", { class: "head" }, make("h2", { text: "Draft" }), unverified()),
    make("p", { class: "draft-text streaming", text: going.text }),
    make("p", { class: "busy" }, make("span", { class: "spinner" }), make("span", { class: "going", text: going.words })),
    button("Stop", { sign: "close", key: "Escape", on: { click: stop } }),
  );
  find("#said").textContent = going.words;
}

/** Follow the draft that is being written; when it has ended, show it whole. */
function progress() {
  const going = drafting.underWay(study().id);
  const text = find("#draft .streaming");
  if (!going || !text) {
    render();
    if (!going && draft()) find("#said").textContent = `AI draft, not verified: ${draft().text}`;
    return;
  }
  text.textContent = going.text;
  const words = find("#draft .going");
  if (words.textContent !== going.words) words.textContent = find("#said").textContent = going.words;
}

function feedback(last) {
  const note = make("input", { maxlength: "2000", placeholder: "In a word (optional)", "aria-label": "Note to the feedback" });
  let kind = null;
  const buttons = FEEDBACK.map(([name, words, sign]) =>
    make("button", { type: "button", class: "chip", "aria-pressed": "false", "data-feedback": name, title: `Feedback: ${words}`, "aria-label": words, on: { click: () => choose(name) } }, icon(sign), name === "missing" ? "Missing" : words),
  );
  const more = make("div", { class: "note", hidden: true }, note, make("button", { text: "Send" }));
  const form = make("form", { class: "feedback", "aria-label": "Feedback about the draft" }, make("div", { class: "row" }, make("span", { class: "quiet", text: "Is it right?" }), buttons), more);
  const choose = (name) => {
    kind = name;
    for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.feedback === name));
    more.hidden = false;
    note.focus();
  };
  const send = async () => {
    try {
      await api.feedback(last.id, kind, note.value);
      tell("Thank you: your feedback is kept with the draft.");
      more.hidden = true;
    } catch (problem) {
      warn(problem.message, send);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  return form;
}
