// The films of the open study, and beside them those of another study of the patient.

import { button, find, icon, make, unverified } from "./dom.js";
import { FilmPane } from "./film_pane.js";
import * as layout from "./layout.js";
import { tell, warn } from "./notices.js";
import { reading, study } from "./reading.js";
import { day, filmName, patient, taken } from "./words.js";

const TOOLS = [
  ["window", "Window", "w"],
  ["shift", "Move", "v"],
  ["measure", "Measure", "m"],
];
let [own, prior, tool] = [null, null, "window"];
let [comparing, linked] = [false, true];
let [filmNumber, priorNumber] = [0, 0];
/** Films of the study that is shown; which pane the reader's hand was on last; which evidence is shown, and over which film. */
let [filmIds, touched, explained] = ["", null, null];

const idsOf = ({ images }) => images.map(({ id }) => id).join();

/** Make the panes and their tools. */
export function begin() {
  [own, prior] = [makePane("own"), makePane("prior")];
  find("#panes").append(own.figure, prior.figure);
  const tools = TOOLS.map(([name, words, key]) =>
    button(words, { sign: name, key, "data-tool": name, "aria-pressed": String(name === tool), on: { click: () => choose(name) } }),
  );
  const acts = [
    ["fit", "Fit", "f", fit],
    ["one", "1:1", "1", oneToOne],
    ["invert", "Invert", "i", invert],
    ["reset", "Reset", "r", resetWindow],
    ["erase", "Erase", "Delete", clearMeasures],
  ].map(([sign, words, key, click]) => button(words, { sign, key, title: words === "Erase" ? "Take the measures off" : words, on: { click } }));
  find("#film-tools").append(
    make("div", { class: "group", role: "group", "aria-label": "What dragging does" }, tools),
    make("div", { class: "group acts", role: "group", "aria-label": "The view" }, acts),
    make("div", { class: "group", id: "film-choice", role: "group", "aria-label": "Films of the study" }),
    make("div", { class: "group", id: "comparing", role: "group", "aria-label": "Compare" }),
  );
  reading.addEventListener("study", ({ detail }) => {
    if (detail.another) renew();
    else if (idsOf(study()) !== filmIds) join();
    filmIds = idsOf(study());
  });
  for (const side of [own, prior]) for (const sign of ["pointerdown", "focus"]) side.canvas.addEventListener(sign, () => (touched = side));
  for (const { canvas, pane } of [own, prior]) canvas.addEventListener("dblclick", () => (pane.whole ? layout.alone() : pane.fit()));
  // A film that has another room is shown at another size.
  const sizes = new ResizeObserver(() => [own, prior].forEach(tellView));
  for (const { canvas } of [own, prior]) sizes.observe(canvas);
}

function makePane(name) {
  const words = name === "own" ? "Film of this study" : "Film of another study of the patient";
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": words, "aria-describedby": `${name}-view` });
  const head = make("figcaption", {});
  const view = make("p", { class: "view", id: `${name}-view` });
  const badge = make("p", { class: "badge", hidden: true }, unverified("AI evidence map — not verified"));
  const report = make("div", { class: "prior-report", hidden: true });
  const figure = make("figure", { class: "pane", "data-pane": name, hidden: name === "prior" }, head, make("div", { class: "glass" }, canvas, badge, view), report);
  const pane = new FilmPane(canvas, changed);
  return { pane, figure, head, view, badge, report, canvas };
}

/** Show a film, and of whom and when it is: a patient is named on every film. */
async function show(side, image, whose, words) {
  side.head.replaceChildren(make("strong", { text: patient(whose) }), ` · ${words}`);
  side.badge.hidden = true;
  side.canvas.setAttribute("aria-busy", "true");
  try {
    const shown = side.pane.show(image);
    side.view.textContent = image ? "The film is being loaded …" : "This study has no film.";
    await shown;
    if (side.pane.image !== image) return;
    side.canvas.dataset.image = image?.id ?? "";
    if (side === own) layEvidence();
    follow();
    tellView(side);
  } catch (problem) {
    if (side.pane.image === image) side.view.textContent = "The film could not be loaded.";
    warn(problem.message, () => show(side, image, whose, words));
  } finally {
    if (side.pane.image === image) side.canvas.removeAttribute("aria-busy");
  }
}

/** Show the films of another study. */
function renew() {
  [filmNumber, priorNumber] = [0, 0];
  [touched, explained] = [null, null];
  for (const { pane } of [own, prior]) pane.forget();
  // The film that was drafted from, else the first that is no lateral.
  const drafted = study().drafts.at(-1)?.image_id;
  const place = study().images.findIndex((image) => (drafted ? image.id === drafted : image.view !== "LATERAL"));
  filmNumber = Math.max(place, 0);
  if (comparing && !study().priors.some((one) => one.images.length)) comparing = layout.lend(false);
  showOwn();
  showPrior();
}

/** Take in films that came to the open study; the one that is looked at stays. */
function join() {
  const place = study().images.findIndex((image) => image.id === own.pane.image?.id);
  if (place < 0) return renew();
  filmNumber = place;
  tellChoice();
  showPrior();
}

function showOwn() {
  const image = study().images[filmNumber] ?? null;
  show(own, image, study(), `${taken(study())}${image?.view ? ` · ${image.view}` : ""}`);
  tellChoice();
}

function tellChoice() {
  const { images } = study();
  const choice = images.map((one, number) =>
    make("button", { type: "button", text: filmName(one, number), "aria-pressed": String(number === filmNumber), on: { click: () => chooseFilm(number) } }),
  );
  find("#film-choice").replaceChildren(...(images.length > 1 ? choice : []));
}

function showPrior() {
  const others = study().priors.filter((one) => one.images.length);
  const group = find("#comparing");
  prior.figure.hidden = !comparing;
  find("#panes").classList.toggle("two", comparing);
  if (!others.length) return group.replaceChildren();
  const parts = [button("Compare", { sign: "compare", key: "c", "aria-pressed": String(comparing), on: { click: compare } })];
  if (comparing) {
    const choice = make("select", { "aria-label": "Study to compare with" }, others.map((one, number) => make("option", { value: number, text: whenWas(one), selected: number === priorNumber })));
    choice.addEventListener("change", () => {
      priorNumber = Number(choice.value);
      showPrior();
    });
    parts.push(choice, button("Link", { sign: "link", key: "l", title: "Window and zoom of both films together", "aria-pressed": String(linked), on: { click: link } }));
    const one = others[priorNumber];
    const frontal = one.images.find((image) => image.view !== "LATERAL") ?? one.images[0];
    // One that is there already keeps its own window and measures.
    if (prior.pane.image?.id !== frontal.id) show(prior, frontal, one, whenWas(one));
    else follow();
    prior.report.hidden = false;
    prior.report.replaceChildren(
      make("h3", { text: one.report ? "Its signed report" : "No signed report" }),
      ...(one.report ? [make("p", { text: one.report })] : []),
    );
  }
  group.replaceChildren(...parts);
}

/** Let the other study's film take zoom and place of this one's, where they are linked. */
function follow() {
  if (!comparing || !linked) return;
  prior.pane.follow(own.pane.view);
  tellView(prior);
}

function whenWas(one) {
  const [then, now] = [day(one.study_date), day(study().study_date)];
  if (!then) return taken(one);
  return `${!now || then < now ? "Earlier" : then === now ? "Same day" : "Later"} · ${then}`;
}

function changed(pane, before) {
  const side = pane === own.pane ? own : prior;
  const other = side === own ? prior : own;
  if (comparing && linked) {
    other.pane.follow(pane.view, before);
    tellView(other);
  }
  tellView(side);
}

function tellView({ pane, view }) {
  if (!pane.ready) return;
  const { inverted } = pane.view;
  const facts = [
    `window ${Math.round(pane.window.width)} / ${Math.round(pane.window.centre)}`,
    `zoom ${Math.round(pane.scale * 100)} %`,
    inverted && "inverted",
    pane.image && !pane.image.spacing_mm && "size of a pixel not known",
    pane.ratio !== null && `ratio ${pane.ratio.toFixed(2)}`,
    ...pane.measures,
  ];
  view.textContent = facts.filter(Boolean).join(" · ");
}

const panes = () => (comparing && touched === prior ? prior.pane : own.pane);

/** Do something to the film under the reader's hand, and to the other one by its own greys where they are linked. */
function byOwnGreys(act) {
  const pane = panes();
  const [one, other] = pane === own.pane ? [own, prior] : [prior, own];
  act(pane);
  if (comparing && linked) act(other.pane);
  [one, other].forEach(tellView);
}

export const fit = () => panes().fit();
export const oneToOne = () => panes().oneToOne();
export const invert = () => panes().invert();
export const resetWindow = () => byOwnGreys((pane) => pane.resetWindow(false));
export const zoomIn = () => panes().zoom(1.25);
export const zoomOut = () => panes().zoom(0.8);
export const dark = () => byOwnGreys((pane) => pane.spread("dark", false));
export const bright = () => byOwnGreys((pane) => pane.spread("bright", false));
export const whole = () => byOwnGreys((pane) => pane.spread("whole", false));
export const clearMeasures = () => [own, prior].forEach(({ pane }) => pane.clearMeasures());

/** Choose what dragging does. */
export function choose(name) {
  tool = name;
  for (const { pane, canvas } of [own, prior]) {
    pane.tool = name;
    canvas.dataset.tool = name;
  }
  for (const one of document.querySelectorAll("[data-tool][aria-pressed]")) one.setAttribute("aria-pressed", String(one.dataset.tool === name));
}

/** Show the next film of the study. */
export function nextFilm() {
  if (study()?.images.length > 1) return chooseFilm((filmNumber + 1) % study().images.length);
  tell("This study has no other film.");
}

function chooseFilm(number) {
  filmNumber = number;
  showOwn();
}

/** Show another study of the patient beside this one, or put it away. */
export function compare() {
  if (!study()?.priors.some((one) => one.images.length)) return tell("No other study of this patient is here.");
  // Two films need the room more than the list does.
  comparing = layout.lend(!comparing);
  showPrior();
}

/** Let both films be windowed and zoomed together, or each by itself. */
export function link() {
  if (!comparing) return tell("Only one film is shown: compare two to link them.");
  linked = !linked;
  showPrior();
}

/** Lay an evidence map over the film that a draft was written from; null takes it off. */
export async function explain(evidence, imageId) {
  explained = evidence && { evidence, imageId };
  const place = study()?.images.findIndex((image) => image.id === imageId);
  if (evidence && place >= 0 && place !== filmNumber) {
    filmNumber = place;
    showOwn();
  }
  layEvidence();
}

/** Show the map of the chosen sentence where the film is the one that it belongs to. */
function layEvidence() {
  const here = explained !== null && own.pane.image?.id === explained.imageId;
  own.pane.explain(here ? explained.evidence : null);
  own.badge.hidden = !here;
}
