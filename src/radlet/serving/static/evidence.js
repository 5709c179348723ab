// From a sentence to what it rests on: its map on the film, and whether that map can be believed.

import * as api from "./api.js";
import { draw, find, icon, make } from "./dom.js";
import * as films from "./films.js";
import { tell } from "./notices.js";
import { draft, reading, study } from "./reading.js";
import { colour } from "./heat.js";
import { faithfulness } from "./words.js";

const HOVER_MS = 150;
/** Answers by draft and sentence: each is asked for once, for it takes the model a second or more. */
const asked = new Map();
let [pinned, pointed, hidden, waiting] = [null, null, false, 0];

/** Wire the maps. */
export function begin() {
  reading.addEventListener("study", ({ detail }) => {
    if (detail.another) [pinned, pointed] = [null, null];
    if (detail.another) find("#evidence")?.replaceChildren(hint());
  });
}

/** Make the card for what is told of a sentence: always there, so that the text below does not jump when it fills. */
export const card = () => make("div", { id: "evidence", "aria-live": "polite" }, hint());

/** For those who look; those who listen have the sentences as buttons. */
const hint = () => make("p", { class: "quiet hint", "aria-hidden": "true" }, "What a sentence rests on: point at it, or press ", make("kbd", { text: "n" }));

/** Make a draft's text whose sentences show their evidence. */
export function sentences({ text, sentences: spans }) {
  const parts = [];
  let before = 0;
  spans.forEach(([start, end], number) => {
    parts.push(text.slice(before, start));
    const listeners = {
      mouseenter: () => point(number),
      mouseleave: () => point(null),
      focus: () => point(number),
      blur: () => point(null),
      click: () => pin(number === pinned ? null : number),
      keydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        pin(number === pinned ? null : number);
      },
    };
    parts.push(make("span", { class: "sentence", role: "button", tabindex: "0", "aria-pressed": "false", "data-sentence": number, text: text.slice(start, end), on: listeners }));
    before = end;
  });
  return [...parts, text.slice(before)];
}

/** Keep a sentence's map on the film; null lets it go. Tells whether there was one. */
export function pin(number) {
  const before = pinned;
  pinned = number;
  if (number !== null) hidden = false;
  if (number === null) pointed = null;
  show();
  return before !== null;
}

/** Go to the next sentence, or the one before. */
export function step(by) {
  const count = draft()?.sentences.length ?? 0;
  if (!count) return tell("No draft yet: there is no sentence to show evidence for.");
  pin(pinned === null ? (by > 0 ? 0 : count - 1) : (pinned + by + count) % count);
  find(`[data-sentence="${pinned}"]`)?.scrollIntoView({ block: "nearest" });
}

/** Hide the map without letting the sentence go, or show it again. */
export function hide() {
  hidden = !hidden;
  show();
}

function point(number) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    pointed = number;
    show();
  }, number === null ? HOVER_MS / 2 : HOVER_MS);
}

async function show() {
  const number = pointed ?? pinned;
  for (const one of document.querySelectorAll("[data-sentence]")) {
    one.classList.toggle("shown", Number(one.dataset.sentence) === number);
    one.setAttribute("aria-pressed", String(Number(one.dataset.sentence) === pinned));
  }
  const place = find("#evidence");
  if (!place) return;
  if (number === null) {
    place.replaceChildren(hint());
    return films.explain(null);
  }
  const [studyId, now] = [study().id, draft()];
  const key = `${now.id}/${number}`;
  if (!asked.has(key)) {
    asked.set(key, api.evidence(studyId, now.id, number));
    // What failed may be asked for again.
    asked.get(key).catch(() => asked.delete(key));
  }
  place.setAttribute("aria-busy", "true");
  if (!place.querySelector(".busy")) place.replaceChildren(make("p", { class: "busy" }, make("span", { class: "spinner" }), " Looking for what this sentence rests on …"));
  let found;
  let failed = null;
  try {
    found = await asked.get(key);
  } catch (problem) {
    failed = problem;
  }
  // Meanwhile the reader may have gone on.
  if (study()?.id !== studyId || draft()?.id !== now.id || number !== (pointed ?? pinned)) return;
  place.removeAttribute("aria-busy");
  if (failed) {
    films.explain(null);
    place.replaceChildren(make("p", { class: "trouble", text: failed.message }));
    return;
  }
  films.explain(hidden ? null : found, now.image_id);
  place.replaceChildren(...told(found, number, now.sentences.length));
}

function told(found, number, count) {
  const { short, long } = faithfulness(found.faithfulness);
  const score = `${found.faithfulness >= 0 ? "+" : "−"}${Math.abs(found.faithfulness).toFixed(2)}`;
  return [
    make(
      "div",
      { class: "evidence-words" },
      make("h3", {}, `Evidence, sentence ${number + 1} of ${count}`, hidden ? " (map hidden, h shows it)" : ""),
      make("p", {}, make("strong", { class: "faithfulness", "data-faithfulness": short, text: `Faithfulness ${score}, ${short}` }), ` — ${long}.`),
      make("p", { class: "quiet ramp" }, "less ", ramp(), " more"),
    ),
    curves(found),
  ];
}

function ramp() {
  const steps = Array.from({ length: 10 }, (_, step) => draw("rect", { x: step * 8, y: 0, width: 8.5, height: 9, fill: `rgb(${colour(step / 9).join(" ")})` }));
  return draw("svg", { viewBox: "0 0 80 9", width: 80, height: 9, "aria-hidden": "true" }, ...steps);
}

/** Draw how likely the sentence is while the film is uncovered and covered in the order of the map. */
function curves({ insertion, deletion }) {
  const most = Math.max(...insertion, ...deletion, 1e-9);
  const line = (values, kind) => {
    const points = values.map((value, step) => `${4 + (step / (values.length - 1)) * 92},${52 - (value / most) * 46}`).join(" ");
    return draw("polyline", { class: kind, points, fill: "none" });
  };
  const words = "Likelihood of the sentence while the marked patches are shown first (solid) and covered first (dashed).";
  const picture = draw("svg", { class: "curves", viewBox: "0 0 100 56", role: "img", "aria-label": words }, draw("path", { class: "axis", d: "M4 4V52H98", fill: "none" }), line(deletion, "covered"), line(insertion, "uncovered"));
  return make("figure", { title: words }, picture, make("figcaption", {}, icon("line"), "shown first ", icon("dash"), "covered first"));
}
