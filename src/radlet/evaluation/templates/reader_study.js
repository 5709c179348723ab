"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const sides = ["left", "right"], levels = ["significant", "insignificant"];
const find = (id) => document.getElementById(id);
let state = null, shown = 0, opened = 0;

const storage = (() => {
  try {
    localStorage.setItem("radlet-reader-study", "1");
    localStorage.removeItem("radlet-reader-study");
    return localStorage;
  } catch { return null; }
})();
find("storage").hidden = storage !== null;

const place = (reader) => `radlet-reader-study-${content.study}-${reader}`;

function blank() {
  const counts = Object.fromEntries(content.kinds.map((kind) => [kind, { significant: 0, insignificant: 0 }]));
  return { preference: null, counted: false, left: counts, right: structuredClone(counts), comment: "", seconds: 0 };
}

function recall(reader) {
  try { return storage && JSON.parse(storage.getItem(place(reader))); } catch { return null; }
}

function begin(reader) {
  const cases = content.cases.map((one) => ({ case: one.case, ...blank() }));
  state = recall(reader)
    || { form: "radlet reader study", version: 1, study: content.study, reader, begun: new Date().toISOString(), cases };
  const open = state.cases.findIndex((one) => one.preference === null);
  find("start").hidden = true;
  find("foot").hidden = false;
  show(open < 0 ? state.cases.length : open);
}

function keep() {
  state.changed = new Date().toISOString();
  find("saved").textContent = "";
  try { if (storage) storage.setItem(place(state.reader), JSON.stringify(state)); }
  catch { find("saved").textContent = "The browser could not keep this: save the file now."; }
  progress();
}

function progress() {
  const done = state.cases.filter((one) => one.preference !== null).length;
  find("progress").textContent = `${state.reader}: ${done} of ${state.cases.length} preferred`;
}

function tick() {
  if (state.cases[shown]) state.cases[shown].seconds += Math.round((Date.now() - opened) / 1000);
  opened = Date.now();
}

function go(step) {
  tick();
  keep();
  show(Math.min(Math.max(shown + step, 0), state.cases.length));
}

function show(number) {
  shown = number;
  opened = Date.now();
  const last = number === state.cases.length;
  find("study").hidden = last;
  find("end").hidden = !last;
  progress();
  if (last) {
    const open = state.cases.filter((one) => one.preference === null).map((one) => one.case);
    find("left-open").textContent = open.length
      ? `Still without a preference: case ${open.join(", ")}.` : "Every case has a preference. Save the file and hand it in.";
    const begun = state.cases.filter((one) => !one.counted && sides.some((side) =>
      content.kinds.some((kind) => levels.some((level) => one[side][kind][level]))));
    find("uncounted").hidden = !begun.length;
    find("uncounted").textContent =
      `Errors are entered but not ticked as counted, and will not be used: case ${begun.map((one) => one.case).join(", ")}.`;
    return;
  }
  const one = content.cases[number], answer = state.cases[number];
  find("title").textContent = `Case ${one.case} of ${content.cases.length}`;
  find("film").hidden = !one.film;
  if (one.film) find("film").src = one.film; else find("film").removeAttribute("src");
  find("no-film").hidden = Boolean(one.film);
  find("reference-box").hidden = one.reference === null;
  find("reference").textContent = one.reference || "";
  for (const side of sides) find(side).textContent = one[side].trim() || "(nothing was written)";
  find("comment").value = answer.comment;
  find("counted").checked = answer.counted;
  find("previous").disabled = number === 0;
  for (const input of document.querySelectorAll("#counts input")) {
    const count = answer[input.dataset.side][input.dataset.kind][input.dataset.level];
    input.value = count || (answer.counted ? "0" : "");
  }
  choices();
  find("title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function choices() {
  const chosen = state.cases[shown].preference;
  for (const button of document.querySelectorAll("[data-choice]"))
    button.setAttribute("aria-pressed", String(button.dataset.choice === chosen));
  for (const side of sides) find(`${side}-box`).classList.toggle("chosen", chosen === side);
}

function prefer(choice) {
  const answer = state.cases[shown];
  answer.preference = answer.preference === choice ? null : choice;
  tick();
  keep();
  choices();
}

function count(input) {
  const number = Number(input.value), valid = Number.isInteger(number) && number >= 0 && number <= 50;
  input.setAttribute("aria-invalid", String(!valid));
  if (!valid) return;
  const answer = state.cases[shown];
  answer[input.dataset.side][input.dataset.kind][input.dataset.level] = number;
  keep();
}

function table() {
  for (const kind of content.kinds) {
    const row = find("counts").insertRow(), head = document.createElement("th");
    head.scope = "row";
    head.textContent = kind.replace("_", " ");
    row.append(head);
    for (const side of sides) for (const level of levels) {
      const input = document.createElement("input");
      Object.assign(input, { type: "number", min: 0, max: 50, step: 1, inputMode: "numeric", placeholder: "0" });
      Object.assign(input.dataset, { side, kind, level });
      input.setAttribute("aria-label", `${side} draft, ${head.textContent}, ${level}`);
      input.addEventListener("input", () => count(input));
      row.insertCell().append(input);
    }
  }
}

function save() {
  tick();
  keep();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(state, null, 1)], { type: "application/json" }));
  link.download = `reader-study-${content.study}-${state.reader.replace(/[^A-Za-z0-9_-]+/g, "_")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  find("saved").textContent = `Saved as ${link.download}`;
}

table();
find("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const reader = find("reader").value.trim();
  if (reader) begin(reader);
});
find("previous").addEventListener("click", () => go(-1));
find("next").addEventListener("click", () => go(1));
find("back").addEventListener("click", () => go(-1));
find("save").addEventListener("click", save);
find("comment").addEventListener("input", (event) => { state.cases[shown].comment = event.target.value; keep(); });
find("counted").addEventListener("change", (event) => {
  state.cases[shown].counted = event.target.checked;
  keep();
});
for (const button of document.querySelectorAll("[data-choice]"))
  button.addEventListener("click", () => prefer(button.dataset.choice));
document.addEventListener("keydown", (event) => {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), textarea")) return;
  const choice = { 1: "left", 2: "right", 3: "tie" }[event.key], step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (choice && shown < state.cases.length) prefer(choice);
  else if (step) go(step);
  else return;
  event.preventDefault();
});
