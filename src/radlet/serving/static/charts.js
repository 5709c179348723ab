// Pictures of numbers: drawn by hand in SVG, told apart by shape and pattern as well as colour, read by keyboard, with a table behind each.

import { draw, make } from "./dom.js";

const [WIDE, HIGH] = [460, 200];
const FRAME = { left: 50, right: 12, top: 12, bottom: 28 };
const DAY_MS = 86_400_000;
/** Of a letter or digit in the type of a picture, at most. */
const SIGN_WIDE = 6;
/** What sets a series apart besides its colour: the sign at its points, and how its line is dashed. */
const LOOKS = [
  { sign: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", dash: "none" },
  { sign: "M-4-4H4V4H-4Z", dash: "7 4" },
  { sign: "M0-5L5 4H-5Z", dash: "2 3" },
  { sign: "M0-5.5L5.5 0L0 5.5L-5.5 0Z", dash: "9 3 2 3" },
];
const SHORT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** Return how the series of a number looks; after the fourth they begin anew, and their names tell them apart. */
const look = (number) => ({ ...LOOKS[number % LOOKS.length], hue: number % LOOKS.length });

/** Seconds between the marks of an axis of times. */
const TIMES = [15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

/** Return round values from 0 to at least `most`. */
function ticks(most, steps = null) {
  const rough = most / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (steps ?? [1, 2, 2.5, 5, 10].map((one) => one * power)).find((one) => one >= rough * 0.999);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, number) => number * step);
}

/** Return the days that a picture spans, as places from left to right. */
function across(days) {
  const times = days.map((day) => Date.parse(day));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const room = WIDE - FRAME.left - FRAME.right - 24;
  const place = (day) => FRAME.left + 12 + (last > first ? ((Date.parse(day) - first) / (last - first)) * room : room / 2);
  const step = Math.max(Math.ceil((last - first) / DAY_MS / 5), 1);
  const named = [];
  for (let time = first; time <= last; time += step * DAY_MS) named.push(new Date(time).toISOString().slice(0, 10));
  return { place, named, thick: Math.min((room * DAY_MS) / (last - first + DAY_MS), 26) * 0.7 };
}

function axes(values, told, { place, named }) {
  const most = values.at(-1) || 1;
  const up = (value) => HIGH - FRAME.bottom - (value / most) * (HIGH - FRAME.top - FRAME.bottom);
  const lines = values.map((value) => draw("path", { class: value ? "grid" : "axis", d: `M${FRAME.left} ${up(value)}H${WIDE - FRAME.right}` }));
  const marks = values.map((value) => words(told(value), FRAME.left - 6, up(value) + 4, "end"));
  const days = named.map((day) => words(SHORT.format(new Date(day)), place(day), HIGH - 8, "middle"));
  return { up, parts: [...lines, ...marks, ...days] };
}

function words(text, x, y, anchor) {
  const element = draw("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

/**
 * Draw values by day, a line for each series.
 *
 * @param {string} title What is shown.
 * @param {{name: string, points: {day: string, value: number, told: string}[]}[]} series `told` is the point in words.
 * @param {(value: number) => string} told How values are written at the axis.
 * @param {number} least The axis reaches at least so far.
 * @param {boolean} times Whether values are seconds.
 */
export function lines(title, series, told, { least = 0, times = false } = {}) {
  const points = series.flatMap((one, number) => one.points.map((point) => ({ ...point, series: one.name, number })));
  const scale = across(points.map(({ day }) => day));
  const { up, parts } = axes(ticks(Math.max(...points.map(({ value }) => value), least), times ? TIMES : null), told, scale);
  const drawn = series.map(({ points: own }, number) => {
    const { dash, hue } = look(number);
    const way = own.map(({ day, value }) => `${scale.place(day)},${up(value)}`).join(" ");
    return draw("polyline", { class: `hue-${hue}`, points: way, fill: "none", "stroke-dasharray": dash });
  });
  const marks = points.map(({ day, value, number }) => {
    const { sign, hue } = look(number);
    return draw("path", { class: `mark hue-${hue}`, d: sign, transform: `translate(${scale.place(day)} ${up(value)})` });
  });
  const order = points.map((point, number) => ({ ...point, mark: marks[number] })).sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : a.number - b.number));
  return figure(title, [...parts, ...drawn, ...marks], order, ["Day (UTC)", "Model", "Value"], order.map(({ day, series: name, told: said }) => [day, name, said]));
}

/** Draw counts by day as outlined bars whose lower part, a share of them, is filled. */
export function bars(title, days, [whole, part]) {
  const scale = across(days.map(({ day }) => day));
  const { up, parts } = axes(ticks(Math.max(...days.map(({ count }) => count), 4)), String, scale);
  const order = days.map(({ day, count, of }) => {
    const bar = (value, kind) => draw("rect", { class: kind, x: scale.place(day) - scale.thick / 2, y: up(value), width: scale.thick, height: up(0) - up(value) });
    const mark = draw("g", { class: "bar-of-day" }, bar(count, "whole"), bar(of, "part"));
    return { mark, told: `${day}: ${count} ${whole}, ${of} of them ${part}` };
  });
  return figure(title, [...parts, ...order.map(({ mark }) => mark)], order, ["Day (UTC)", whole, part], days.map(({ day, count, of }) => [day, count, of]));
}

/** Draw two distributions over the same bins: what was expected as an outline, what was seen as filled bars. */
export function pairs(title, bins, expected, seen, told) {
  const wide = (WIDE - FRAME.left - FRAME.right) / bins.length;
  const left = (number) => FRAME.left + number * wide;
  // Names that would touch are left out; the table holds them all.
  const every = Math.ceil(((Math.max(...bins.map((bin) => bin.length)) + 2) * SIGN_WIDE) / wide);
  const { up, parts } = axes(ticks(Math.max(...expected, ...seen, 0.1)), told, { place: () => 0, named: [] });
  const names = bins.map((bin, number) => (number % every ? null : words(bin, left(number) + wide / 2, HIGH - 8, "middle"))).filter(Boolean);
  const order = bins.map((bin, number) => {
    const filled = draw("rect", { class: "seen", x: left(number) + wide * 0.18, y: up(seen[number]), width: wide * 0.64, height: up(0) - up(seen[number]) });
    const outline = draw("path", { class: "expected", d: `M${left(number) + wide * 0.06} ${up(expected[number])}H${left(number) + wide * 0.94}` });
    return { mark: draw("g", { class: "bin" }, filled, outline), told: `${bin}: expected ${told(expected[number])}, seen ${told(seen[number])}` };
  });
  const rows = bins.map((bin, number) => [bin, told(expected[number]), told(seen[number])]);
  return figure(title, [...parts, ...order.map(({ mark }) => mark), ...names], order, ["", "Expected", "Seen"], rows);
}

/** Say which series is which. */
export function legend(names) {
  const sample = (number) => {
    const { sign, dash, hue } = look(number);
    return draw("svg", { viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" }, draw("path", { class: `line hue-${hue}`, d: "M1 6H33", "stroke-dasharray": dash }), draw("path", { class: `mark hue-${hue}`, d: sign, transform: "translate(17 6)" }));
  };
  return make("ul", { class: "legend" }, names.map((name, number) => make("li", {}, sample(number), name)));
}

/** Put a picture together: arrows and pointer read its points one by one, and a table holds them all. */
function figure(title, parts, points, head, rows) {
  const readout = make("p", { class: "readout quiet", role: "status", text: "Arrow keys or the pointer read the values." });
  const label = `${title}. ${points.length} values; arrow keys read them, and a table follows.`;
  const picture = draw("svg", { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, tabindex: 0, role: "img", "aria-label": label }, ...parts);
  let current = -1;
  const read = (number) => {
    points[current]?.mark.classList.remove("read");
    current = Math.min(Math.max(number, 0), points.length - 1);
    points[current].mark.classList.add("read");
    readout.textContent = points[current].told;
  };
  const steps = { ArrowRight: () => current + 1, ArrowLeft: () => current - 1, Home: () => 0, End: () => points.length - 1 };
  picture.addEventListener("keydown", (event) => {
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    read(steps[event.key]());
  });
  points.forEach(({ mark }, number) => mark.addEventListener("pointerenter", () => read(number)));
  const table = make(
    "table",
    {},
    make("caption", { class: "unseen", text: title }),
    make("thead", {}, make("tr", {}, head.map((one) => make("th", { scope: "col", text: one })))),
    make("tbody", {}, rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row", text: first }), rest.map((one) => make("td", { text: one }))))),
  );
  return make("figure", {}, make("figcaption", {}, make("h3", { text: title })), picture, readout, make("details", {}, make("summary", { text: "Table" }), make("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": `Table: ${title}` }, table)));
}
