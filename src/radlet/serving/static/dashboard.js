// The dashboard: how much readers change of the drafts and how long they take, and whether films and drafts are still what the model knows.

import * as api from "./api.js";
import { bars, legend, lines } from "./charts.js";
import { find, icon, make } from "./dom.js";
import * as drift from "./drift_view.js";
import { liking } from "./kept.js";
import * as themes from "./themes.js";
import { counted } from "./words.js";

const percent = (share) => `${Math.round(share * 100)} %`;
const seconds = (value) => (value < 60 ? `${Math.round(value)} s` : `${Number((value / 60).toFixed(1))} min`);

async function showStatistics() {
  const place = find("#statistics");
  place.setAttribute("aria-busy", "true");
  try {
    draw(await api.statistics(find("#days").value));
  } catch (problem) {
    find("#numbers").replaceChildren();
    find("#by-day").replaceChildren(make("p", { class: "trouble", role: "alert", text: problem.message }));
  }
  place.setAttribute("aria-busy", "false");
}

function draw(days) {
  if (!days.length) {
    const words = "Nothing was signed in this time. Once readers sign reports that began as drafts, this page shows how much they changed and how long it took.";
    find("#numbers").replaceChildren();
    return find("#by-day").replaceChildren(make("p", { class: "empty", text: words }));
  }
  const models = [...new Set(days.map(nameOf))];
  const total = days.reduce((sum, one) => sum + one.num_signed, 0);
  const unchanged = days.reduce((sum, one) => sum + one.num_unchanged, 0);
  const changed = days.reduce((sum, one) => sum + one.edit_distance_mean * one.num_signed, 0) / total;
  const timed = days.reduce((sum, one) => sum + one.num_timed, 0);
  find("#numbers").replaceChildren(
    number(String(total), "drafts signed"),
    number(percent(unchanged / total), "signed without a change"),
    number(percent(changed), "of the words changed, on average"),
    number(String(timed), "with a reading time"),
  );
  const of = (value) => models.map((name) => ({ name, points: days.filter((one) => nameOf(one) === name).flatMap(value) }));
  const distance = of((one) => [{ day: one.day, value: one.edit_distance_median, told: `${one.day}, ${nameOf(one)}: half of ${counted(one.num_signed, "report")} had at most ${percent(one.edit_distance_median)} of the words changed` }]);
  const times = of((one) => (one.reading_s_median === null ? [] : [{ day: one.day, value: one.reading_s_median, told: `${one.day}, ${nameOf(one)}: median ${seconds(one.reading_s_median)} over ${counted(one.num_timed, "study", "studies")}` }]));
  find("#by-day").replaceChildren(
    ...(models.length > 1 ? [legend(models)] : [make("p", { class: "quiet wide", text: `Model ${models[0]}` })]),
    lines("Edit distance of a report (median of the day)", distance, percent, { least: 0.1 }),
    timed ? lines("Reading time of a study (median of the day)", times, seconds, { least: 60, times: true }) : make("p", { class: "empty", text: "No page told a reading time." }),
    bars("Signed reports (filled: without a change)", byDay(days), ["signed", "unchanged"]),
  );
}

const nameOf = ({ model, checkpoint_digest: digest }) => `${model} · ${digest.slice(0, 8)}`;

const number = (value, words) => make("p", { class: "number" }, make("strong", { text: value }), words);

/** Add the models of a day up. */
function byDay(days) {
  const sums = new Map();
  for (const { day, num_signed: signed, num_unchanged: unchanged } of days) {
    const { count, of } = sums.get(day) ?? { count: 0, of: 0 };
    sums.set(day, { day, count: count + signed, of: of + unchanged });
  }
  return [...sums.values()];
}

async function begin() {
  themes.begin();
  document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
    if (key === "t" && !ctrlKey && !metaKey && !altKey && !target.matches("select") && liking("keys") !== "off") themes.turn();
  });
  find("#days").addEventListener("change", showStatistics);
  const { roles } = await api.whoAmI();
  find("#room").hidden = !roles.includes("reader");
  await Promise.all([showStatistics(), drift.show(), tellModel()]);
  find("#said").textContent = "The figures are there.";
}

async function tellModel() {
  try {
    const { name, engine, checkpoint_digest: digest } = await api.model();
    find("#model").replaceChildren(icon("info"), ` Serving now: ${name} · ${digest.slice(0, 8)} · ${engine}`);
  } catch {
    // The figures say for themselves whether the server answers.
  }
}

begin();
