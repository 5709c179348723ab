// Drift: how far films and drafts of late lie from those the model was trained on, scanner by scanner, measure by measure.

import * as api from "./api.js";
import { pairs } from "./charts.js";
import { draw, find, icon, make } from "./dom.js";
import { counted, moment } from "./words.js";

const KINDS = { input: "Films", output: "Drafts" };
const percent = (share) => `${Math.round(share * 100)} %`;
const round = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
/** A measure is called as the server calls it, without the signs between its words. */
const spoken = (name) => name.replaceAll("_", " ");

/** Ask for the drift of late, and tell it. */
export async function show() {
  const [place, told] = [find("#drift"), find("#drift-told")];
  try {
    tell(told, await api.drift());
  } catch (problem) {
    told.replaceChildren(make("p", { class: "trouble", role: "alert", text: problem.message }));
  }
  place.setAttribute("aria-busy", "false");
}

function without() {
  return make(
    "p",
    { class: "empty" },
    "There is no reference yet, so nothing can be said of drift. A reference holds how the films looked that the model was made with, and what it wrote: make one with ",
    make("code", { text: "radlet drift reference CHECKPOINT" }),
    ", and start ",
    make("code", { text: "radlet serve" }),
    " anew, which finds it beside the checkpoint. It holds counts alone, nothing of a patient.",
  );
}

function tell(place, { reference, days, false_alarm_rate: rate, groups }) {
  if (!reference) return place.replaceChildren(without());
  const about = `The last ${counted(days, "day")} against ${counted(reference.films, "film")} and ${counted(reference.reports, "text")} of ${reference.model}, counted ${moment(reference.created_at)}. An alarm is raised wrongly in at most ${Number((rate * 100).toPrecision(2))} % of looks.`;
  const choice = find("#scanner");
  choice.replaceChildren(...groups.map((group, number) => make("option", { value: number, text: `${alarms(group).length ? "⚠ " : ""}${group.scanner ?? "All scanners"} (${group.films})` })));
  find("#scanner-choice").hidden = groups.length < 2;
  const shown = make("div", { id: "group" });
  choice.onchange = () => shown.replaceChildren(...groupOf(groups[Number(choice.value)]));
  place.replaceChildren(make("p", { class: "quiet", text: about }), shown);
  if (groups.length) choice.onchange();
  else shown.replaceChildren(make("p", { class: "empty", text: "No film was drafted in this time." }));
}

const alarms = (group) => (group.enough ? group.measures.filter((one) => one.alarm) : []);

function groupOf(group) {
  const who = group.scanner ?? "all scanners";
  if (!group.enough) return [make("p", { class: "verdict", "data-verdict": "few" }, icon("info"), `Too few films of ${who} to tell (${group.films}): no alarm is raised from them.`)];
  const raised = alarms(group);
  const verdict = raised.length
    ? make("p", { class: "verdict", "data-verdict": "alarm" }, icon("caution"), `${counted(raised.length, "alarm")} over ${counted(group.films, "film")} of ${who}: ${raised.map((one) => spoken(one.name)).join(", ")}. Look at what changed before the drafts are trusted further.`)
    : make("p", { class: "verdict", "data-verdict": "calm" }, icon("signed"), `No alarm over ${counted(group.films, "film")} of ${who}.`);
  const picture = make("div", { id: "distribution" });
  const kinds = Object.entries(KINDS).map(([kind, words]) => {
    // Alarms stand first.
    const own = group.measures.filter((one) => one.kind === kind).sort((a, b) => b.alarm - a.alarm);
    return own.length ? make("section", {}, make("h3", { text: words }), make("ul", { class: "measures" }, own.map((one) => make("li", {}, measure(one, picture))))) : "";
  });
  const first = raised[0] ?? group.measures[0];
  if (first) distribution(first, picture);
  return [verdict, make("div", { class: "split" }, make("div", { class: "kinds" }, kinds), picture)];
}

/** Make the line of a measure: its index, drawn against its limit. */
function measure(one, picture) {
  const most = Math.max(one.psi, one.limit) * 1.15 || 1;
  const at = (value) => (value / most) * 120;
  const gauge = draw(
    "svg",
    { class: `gauge ${one.alarm ? "alarm" : ""}`, viewBox: "0 0 120 14", width: 120, height: 14, "aria-hidden": "true" },
    draw("rect", { class: "ground", x: 0, y: 4, width: 120, height: 6 }),
    draw("rect", { class: "value", x: 0, y: 4, width: at(one.psi), height: 6 }),
    draw("path", { class: "limit", d: `M${at(one.limit)} 0V14` }),
  );
  const choose = () => distribution(one, picture);
  return make(
    "button",
    { type: "button", class: "measure", "data-measure": one.name, "aria-pressed": "false", on: { click: choose } },
    icon(one.alarm ? "caution" : "signed"),
    make("span", { class: "name", text: spoken(one.name) }),
    gauge,
    make("span", { class: "psi", text: `${one.alarm ? "alarm, " : ""}index ${one.psi.toFixed(3)}, limit ${one.limit.toFixed(3)}` }),
  );
}

function distribution(one, place) {
  const bins = one.labels ?? bounds(one.edges);
  place.replaceChildren(
    pairs(`${spoken(one.name)}: seen against expected`, bins, one.expected, one.seen, percent),
    make("p", { class: "quiet", text: "Bars: seen of late. Lines: expected from the reference. The index is the population stability index over these bins." }),
  );
  for (const line of document.querySelectorAll("[data-measure]")) line.setAttribute("aria-pressed", String(line.dataset.measure === one.name));
}

/** Name bins by their bounds. The outermost are open: what lies beyond the reference is counted there. */
function bounds(edges) {
  const inner = edges.slice(1, -1).map(round);
  if (!inner.length) return ["all"];
  const between = inner.slice(1).map((to, number) => (inner[number] === to ? to : `${inner[number]}–${to}`));
  return [`< ${inner[0]}`, ...between, `≥ ${inner.at(-1)}`];
}
