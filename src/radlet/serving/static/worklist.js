// The studies that wait: by state, by words, one after the other.

import * as api from "./api.js";
import { find, icon, make } from "./dom.js";
import { unsaved } from "./kept.js";
import { lost, warn } from "./notices.js";
import { open, reading, study } from "./reading.js";
import { STATES, patient, taken } from "./words.js";

const PAGE = 100;
const LOOK_AGAIN_MS = 20_000;
const TYPING_MS = 200;

let shown = { studies: [], total: 0, by_state: {} };
let [state, words, wanted, asked] = [null, "", PAGE, 0];
/** Where in the list the open study stood last: signed or saved, it may have left the state that is shown. */
let place = 0;
/** Lines by study with what they were drawn from, so that a thousand are not drawn anew at every key. */
let drawn = new Map();

/** Wire the worklist. */
export function begin() {
  let typing = 0;
  find("#search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      [words, wanted] = [event.target.value.trim(), PAGE];
      load();
    }, TYPING_MS);
  });
  find("#next").addEventListener("click", () => step(1));
  find("#previous").addEventListener("click", () => step(-1));
  find("#more").addEventListener("click", more);
  reading.addEventListener("worklist", load);
  reading.addEventListener("study", () => render());
  const nearEnd = ({ isIntersecting }) => isIntersecting && shown.studies.length < shown.total && more();
  new IntersectionObserver((seen) => seen.forEach(nearEnd), { root: find("#studies"), rootMargin: "600px" }).observe(find("#more"));
  setInterval(() => document.visibilityState === "visible" && load(true), LOOK_AGAIN_MS);
}

/** Read the worklist anew. A look of its own accord does not complain if nobody answers. */
export async function load(quietly = false) {
  const number = (asked += 1);
  try {
    const studies = [];
    let page;
    do {
      page = await api.worklist({ state, words, limit: Math.min(wanted - studies.length, 200), offset: studies.length });
      studies.push(...page.studies);
    } while (studies.length < Math.min(wanted, page.total) && page.studies.length);
    lost(false);
    if (number !== asked) return;
    shown = { ...page, studies };
    render();
  } catch (problem) {
    lost(problem.status === 0);
    if (quietly !== true) warn(problem.message, load);
  }
}

/** The first study that is listed. */
export const first = () => shown.studies[0]?.id ?? null;

/** Open the next study, or the one before. */
export async function step(by) {
  const listed = shown.studies.findIndex((one) => one.id === study()?.id);
  // What stood below a study that has left the list stands in its place now.
  const to = listed >= 0 ? listed + by : by > 0 ? place : place - 1;
  if (to >= shown.studies.length && shown.studies.length < shown.total) await more();
  const next = shown.studies[to];
  if (!next) return;
  await open(next.id);
  find("#studies [aria-current]")?.scrollIntoView({ block: "nearest" });
}

/** Read a page more, and only that. */
async function more() {
  wanted = shown.studies.length + PAGE;
  const number = (asked += 1);
  try {
    const page = await api.worklist({ state, words, limit: PAGE, offset: shown.studies.length });
    if (number !== asked) return;
    // What came meanwhile has moved the others down: nobody is listed twice.
    const listed = new Map([...shown.studies, ...page.studies].map((one) => [one.id, one]));
    shown = { ...page, studies: [...listed.values()] };
    render();
  } catch (problem) {
    warn(problem.message, more);
  }
}

function render() {
  renderStates();
  const listed = shown.studies.findIndex((one) => one.id === study()?.id);
  if (listed >= 0) place = listed;
  const list = find("#lines");
  // Whoever is in the list with the keyboard stays on the same study.
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.study : null;
  const before = drawn;
  drawn = new Map(shown.studies.map((one) => [one.id, lineOf(one, before.get(one.id))]));
  const lines = [...drawn.values()].map(({ element }) => element);
  if (!lines.length) {
    const why = words || state ? "No study fits. Change the search or the state." : "No studies yet.";
    lines.push(make("li", { class: "empty", text: why }));
  }
  if (lines.length !== list.children.length || lines.some((one, number) => one !== list.children[number])) list.replaceChildren(...lines);
  const rest = shown.total - shown.studies.length;
  find("#more").hidden = rest <= 0;
  find("#more").textContent = `Show more (${rest})`;
  document.body.classList.toggle("first-run", !study() && !shown.total && !words && !state && asked > 0);
  if (focused && document.activeElement?.dataset.study !== focused) find(`[data-study="${focused}"]`, list)?.focus();
}

/** Return the line of a study: the one that is there, unless it would be drawn otherwise. */
function lineOf(one, old) {
  const from = JSON.stringify([one, one.id === study()?.id, unsaved(one.id) !== null]);
  return old?.from === from ? old : { from, element: make("li", {}, line(one)) };
}

function renderStates() {
  const all = Object.values(shown.by_state).reduce((sum, one) => sum + one, 0);
  const chips = [[null, "All", all], ...Object.entries(STATES).map(([name, label]) => [name, label, shown.by_state[name] ?? 0])];
  const [group, before] = [find("#states"), document.activeElement];
  const focused = group.contains(before) ? before.dataset.state : null;
  group.replaceChildren(
    ...chips.map(([name, label, count]) => {
      const choose = () => {
        [state, wanted] = [name, PAGE];
        load();
      };
      const sign = name && icon(name);
      const spoken = { "aria-pressed": String(name === state), "aria-label": `${label}: ${count}`, title: label };
      return make("button", { type: "button", class: "chip", "data-state": name ?? "all", ...spoken, on: { click: choose } }, sign, make("span", { text: `${label} ${count}` }));
    }),
  );
  if (focused) find(`[data-state="${focused}"]`, group)?.focus();
}

function line(one) {
  const is = one.id === study()?.id;
  const facts = [taken(one), one.sex, one.accession_number, one.images.length > 1 && `${one.images.length} films`];
  return make(
    "button",
    { type: "button", class: "study", "data-study": one.id, "data-state": one.state, "aria-current": is && "true", on: { click: () => open(one.id) } },
    make("span", { class: "who", text: patient(one) }),
    make("span", { class: "state" }, icon(one.state), make("span", { text: STATES[one.state] })),
    make("span", { class: "facts", text: facts.filter(Boolean).join(" · ") }),
    (one.indication || one.description) && make("span", { class: "why", text: one.indication ?? one.description }),
    unsaved(one.id) !== null && make("span", { class: "mark", text: "not saved" }),
  );
}
