// The reading room's page: puts the parts together and gives them their keys.

import * as api from "./api.js";
import { button, find, make } from "./dom.js";
import * as draftView from "./draft_view.js";
import * as editor from "./editor.js";
import * as evidence from "./evidence.js";
import * as films from "./films.js";
import * as keys from "./keys.js";
import * as layout from "./layout.js";
import { anyUnsaved, belongTo, forgetAll } from "./kept.js";
import { putAway, warn } from "./notices.js";
import * as panels from "./panels.js";
import * as presence from "./presence.js";
import * as printing from "./printing.js";
import { addressed, open, reading, study } from "./reading.js";
import * as themes from "./themes.js";
import * as upload from "./upload.js";
import { patient, taken } from "./words.js";
import * as worklist from "./worklist.js";

function makeReport() {
  find("#report").append(
    make("header", { id: "patient" }, make("div", { id: "facts" }), make("div", { id: "colleagues", role: "status" })),
    make("section", { id: "draft", "aria-label": "AI draft", "aria-live": "off" }),
    make("section", { id: "own", "aria-label": "Your report" }),
    make("section", { id: "panels", "aria-label": "About the study" }),
  );
  reading.addEventListener("study", () => {
    document.body.classList.add("open");
    const { indication, description, sex } = study();
    const facts = [taken(study()), sex, description].filter(Boolean).join(" · ");
    find("#facts").replaceChildren(make("h2", { text: patient(study()) }), make("p", { class: "quiet", text: facts }), indication ? make("p", { text: `Indication: ${indication}` }) : "");
  });
}

/** Tell who reads; nothing is told where nobody logs in. */
function tellAccount({ account, csrf }) {
  if (!csrf) return;
  belongTo(account);
  find("#account").replaceChildren(make("span", { class: "quiet", text: account }), button("Log out", { class: "bare", on: { click: logOut } }));
}

async function logOut() {
  if (anyUnsaved() && !window.confirm("Some text is not saved. Log out and lose it?")) return;
  try {
    await api.logOut();
  } catch (problem) {
    return warn(problem.message, logOut);
  }
  forgetAll();
  location.assign("/login");
}

/** Leave one thing at a time, the nearest first. */
function leave() {
  const field = document.activeElement?.matches("input, textarea, select") ? document.activeElement : null;
  if (field) return field.blur();
  return putAway() || draftView.stop() || evidence.pin(null) || layout.alone(false);
}

/** Let the report be seen, and do something there. */
const atReport = (action) => () => {
  layout.alone(false);
  action();
};

const ACTIONS = {
  next: () => worklist.step(1),
  previous: () => worklist.step(-1),
  search: () => {
    layout.unfold();
    find("#search").select();
  },
  upload: () => upload.ask(),
  draft: atReport(draftView.start),
  edit: atReport(editor.edit),
  save: editor.save,
  sign: editor.sign,
  reopen: atReport(editor.reopen),
  leave,
  nextSentence: atReport(() => evidence.step(1)),
  previousSentence: atReport(() => evidence.step(-1)),
  hideMap: evidence.hide,
  findings: atReport(() => panels.choose("findings")),
  similar: atReport(() => panels.choose("similar")),
  ask: atReport(() => panels.choose("ask")),
  record: atReport(() => panels.choose("record")),
  window: () => films.choose("window"),
  shift: () => films.choose("shift"),
  measure: () => films.choose("measure"),
  clearMeasures: films.clearMeasures,
  fit: films.fit,
  oneToOne: films.oneToOne,
  zoomIn: films.zoomIn,
  zoomOut: films.zoomOut,
  invert: films.invert,
  dark: films.dark,
  bright: films.bright,
  whole: films.whole,
  resetWindow: films.resetWindow,
  nextFilm: films.nextFilm,
  compare: films.compare,
  link: films.link,
  alone: () => layout.alone(),
  fold: layout.fold,
  theme: themes.turn,
  help: keys.help,
};

async function begin() {
  const caller = await api.whoAmI();
  // Who may not read is led to what they may see.
  if (caller.roles.includes("admin") && !caller.roles.includes("reader")) return location.replace("/dashboard");
  makeReport();
  for (const part of [films, layout, evidence, draftView, editor, panels, presence, worklist, upload, printing]) part.begin();
  films.choose("window");
  keys.begin(ACTIONS);
  themes.begin();
  find("#help").addEventListener("click", keys.help);
  window.addEventListener("hashchange", () => addressed() && addressed() !== study()?.id && open(addressed()));
  // What is copied from a surface of the model carries its notice along.
  document.addEventListener("copy", (event) => {
    const words = String(document.getSelection());
    if (!words || !document.getSelection().anchorNode?.parentElement?.closest("#draft, .answers")) return;
    event.preventDefault();
    event.clipboardData.setData("text/plain", `${words}\n[AI draft — not verified]`);
  });
  tellAccount(caller);
  try {
    const { name, engine, checkpoint_digest: digest } = await api.model();
    find("#model").textContent = find("#model").title = `Model ${name} · ${digest.slice(0, 8)} · ${engine}`;
  } catch (problem) {
    warn(problem.message);
  }
  await worklist.load();
  const wanted = addressed() ?? worklist.first();
  if (wanted) await open(wanted);
}

begin();
