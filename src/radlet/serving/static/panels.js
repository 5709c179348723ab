// What stands below the report: findings, similar studies, questions, the record.

import * as api from "./api.js";
import { find, icon, make, unverified } from "./dom.js";
import { draft, reading, study } from "./reading.js";
import { confidence, disagree, moment, patient, said } from "./words.js";

const PANELS = { findings: ["Findings", findings], similar: ["Similar studies", similar], ask: ["Ask", ask], record: ["Record", record] };
let chosen = "findings";
/** Answers by study, and similar studies by study: neither is asked for twice. */
const [answers, alike] = [new Map(), new Map()];

/** Make the tabs. */
export function begin() {
  const tabs = Object.entries(PANELS).map(([name, [words]]) =>
    make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel", text: words, on: { click: () => choose(name) } }),
  );
  const move = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.stopPropagation();
    const next = tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length];
    next.click();
    next.focus();
  };
  find("#panels").append(make("div", { role: "tablist", "aria-label": "About the study", on: { keydown: move } }, tabs), make("div", { id: "panel", role: "tabpanel", tabindex: "0" }));
  reading.addEventListener("study", () => render());
}

/** Show a panel. */
export function choose(name) {
  chosen = name;
  render(true);
  // Asked for by a key it may lie below what is in sight.
  const [here, seen] = ["#panels", "#report"].map((one) => find(one).getBoundingClientRect());
  if (here.top > seen.top + seen.height * 0.6 || here.top < seen.top) find("#panels").scrollIntoView();
  if (name === "ask") find("#question")?.focus();
}

/** What a panel shows, so that a field is not drawn anew while somebody writes in it. */
let drawn = null;

function render(anew = false) {
  for (const name of Object.keys(PANELS)) {
    const tab = find(`#tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
  }
  const panel = find("#panel");
  panel.setAttribute("aria-labelledby", `tab-${chosen}`);
  if (!study()) return;
  const now = [study().id, study().state, draft()?.id, study().edits.length, study().signatures.length].join();
  if (!anew && drawn === now) return;
  drawn = now;
  PANELS[chosen][1](panel);
}

function findings(panel) {
  const all = draft()?.findings ?? [];
  if (!draft()) return panel.replaceChildren(make("p", { class: "quiet", text: "Findings are listed once there is a draft." }));
  const weight = (one) => (one.state === "POSITIVE" || one.state === "UNCERTAIN" ? 2 : 0) + (disagree(one) ? 4 : 0) + (one.probability ?? 0);
  const sorted = [...all].sort((a, b) => weight(b) - weight(a));
  const notable = (one) => one.state === "POSITIVE" || one.state === "UNCERTAIN" || disagree(one) || (one.probability ?? 0) >= 0.35;
  const rest = sorted.filter((one) => !notable(one));
  const list = (some) => make("ul", { class: "findings" }, some.map(finding));
  const scale = "Bars: how likely the image encoder, which does not read the draft, finds it; one of five is very unlikely, five are very likely.";
  panel.replaceChildren(
    make("div", { class: "head" }, unverified("AI findings — not verified")),
    sorted.some(notable) ? list(sorted.filter(notable)) : make("p", { text: "Nothing that the draft names or the encoder finds likely." }),
    rest.length ? make("details", {}, make("summary", { text: `${rest.length} more: said to be absent, or not in the draft and unlikely` }), list(rest)) : "",
    make("p", { class: "quiet", text: all.some((one) => one.probability !== null) ? scale : "This model gives no probabilities: no image encoder was trained on these findings." }),
  );
}

function finding(one) {
  const known = one.probability !== null;
  const { words, step } = known ? confidence(one.probability) : { words: "no probability", step: -1 };
  const bars = Array.from({ length: 5 }, (_, place) => make("i", { class: place <= step ? "on" : "" }));
  return make(
    "li",
    { "data-state": one.state, "data-step": step },
    icon({ POSITIVE: "yes", NEGATIVE: "no", UNCERTAIN: "maybe" }[one.state] ?? "dash"),
    make("span", { class: "name", text: one.observation }),
    make("span", { class: "said", text: said(one.state) }),
    make("span", { class: "bars", "aria-hidden": "true" }, bars),
    make("span", { class: "likely", text: known ? `${words} ${one.probability.toFixed(2)}` : words }),
    disagree(one) && make("span", { class: "disagree" }, icon("caution"), "draft and encoder disagree: look again"),
  );
}

async function similar(panel) {
  const { id } = study();
  if (!alike.has(id)) {
    panel.replaceChildren(make("p", { class: "busy" }, make("span", { class: "spinner" }), " Looking for similar studies …"));
    try {
      alike.set(id, await api.similar(id));
    } catch (problem) {
      if (chosen === "similar" && study().id === id) panel.replaceChildren(make("p", { class: "trouble", text: problem.message }));
      return;
    }
  }
  if (chosen !== "similar" || study().id !== id) return;
  const found = alike.get(id);
  if (!found.length) return panel.replaceChildren(make("p", { class: "quiet", text: "No collection is searched: start the service with --encoder and --examples." }));
  panel.replaceChildren(
    make("div", { class: "head" }, unverified("Chosen by AI — reports are of other patients")),
    make("ol", { class: "similar" }, found.map((one) => make("li", {}, make("p", { class: "quiet" }, make("strong", { text: one.study_id }), ` · similarity ${one.similarity.toFixed(3)}`), make("p", { text: one.report })))),
  );
}

function ask(panel) {
  const { id } = study();
  const told = answers.get(id) ?? [];
  const field = make("input", { id: "question", maxlength: "2000", autocomplete: "off", placeholder: "Is there a pleural effusion?", "aria-label": "Question about the film" });
  const send = make("button", { class: "main", text: "Ask" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const list = make("dl", { class: "answers", "aria-live": "polite" }, told.flatMap(exchange));
  const submit = async (event) => {
    event.preventDefault();
    const words = field.value.trim();
    if (!words) return;
    send.disabled = true;
    trouble.textContent = "";
    try {
      const answer = await api.question(id, words);
      answers.set(id, [answer, ...(answers.get(id) ?? [])]);
      field.value = "";
      list.prepend(...exchange(answer));
    } catch (problem) {
      trouble.textContent = problem.message;
    } finally {
      send.disabled = false;
    }
  };
  panel.replaceChildren(
    make("div", { class: "head" }, unverified("AI answers — not verified")),
    make("form", { class: "row", on: { submit } }, field, send),
    trouble,
    list,
    make("p", { class: "quiet", text: "The model answers as it was trained to: one that has learnt reports alone answers with findings." }),
  );
}

function exchange({ question, answer }) {
  return [make("dt", { text: question }), make("dd", {}, answer || "The model said nothing.", " ", unverified("AI"))];
}

function record(panel) {
  const { drafts, edits, signatures, received_at: received, origin, images } = study();
  const lines = [
    [received, "Received", `${images.length} film${images.length === 1 ? "" : "s"}, by ${origin}`],
    ...drafts.map((one) => [one.created_at, "AI draft, not verified", `${one.model.name}, checkpoint ${one.model.checkpoint_digest.slice(0, 12)}, engine ${one.model.engine}, radlet ${one.model.radlet_version}`]),
    ...edits.map((one) => [one.created_at, "Saved", `by ${one.author}`]),
    ...signatures.map((one) => [one.signed_at, "Signed", `by ${one.signed_by}, SHA-256 ${one.text_sha256.slice(0, 12)}`]),
  ].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const prompt = draft() && make("details", {}, make("summary", { text: "What the model was given" }), make("pre", { text: draft().prompt }));
  panel.replaceChildren(
    make("p", { class: "quiet", text: `${patient(study())} · ${study().accession_number ?? "no accession number"}` }),
    make("ol", { class: "record" }, lines.map(([at, what, words]) => make("li", {}, make("span", { class: "quiet", text: moment(at) }), make("strong", { text: what }), ` ${words}`))),
    prompt ?? "",
  );
}
