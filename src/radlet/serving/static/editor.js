// The reader's own text: written beside the draft, kept through reloads, saved, signed, reopened.

import * as api from "./api.js";
import { changes, count } from "./diff.js";
import * as conflict from "./conflict.js";
import { button, find, make, unverified } from "./dom.js";
import { anyUnsaved, aside, bringBack, forgetUnsaved, goOnFrom, keepUnsaved, putAside, unsaved, writtenFrom } from "./kept.js";
import { tell, warn } from "./notices.js";
import { draft, draftOf, lastText, reading, refresh, speak, study, textToEdit, time } from "./reading.js";
import { counted, moment } from "./words.js";
import * as worklist from "./worklist.js";

const MOST_SIGNS = 20_000;
const TYPING_MS = 120;

/** Which study and state the editor shows. */
let drawn = null;
let typing = 0;
/** The study whose text could not be saved and why; it is told until the reader types or saves. */
let refused = { id: null, why: null };
/** The study whose signature is on its way. */
let signing = null;

/** Wire the editor. */
export function begin() {
  reading.addEventListener("study", ({ detail }) => {
    // A question about one study is not answered before another.
    if (detail.another) find("#signing")?.close();
    conflict.settle();
    const now = `${study().id}/${study().state === "signed" && study().last_text}`;
    if (detail.another || now !== drawn) render();
    else fill();
    drawn = now;
    tellOthers();
  });
  window.addEventListener("beforeunload", (event) => {
    // A reload keeps the text; closing the tab would not.
    if (anyUnsaved()) event.preventDefault();
  });
}

const field = () => find("#text");

/** Put the cursor into the text. */
export function edit() {
  field()?.focus();
}

/** Tell of a text that somebody else kept meanwhile, and of one that was put aside for it. */
function tellOthers() {
  const { id, state } = study();
  const lines = conflict.overtaken() ? [conflict.notice(choose)] : [];
  if (aside(id) !== null) {
    const back = () => {
      bringBack(id, study().last_text);
      speak("study", { another: false });
    };
    const words = "Your own text is put aside in this tab.";
    lines.push(
      state === "signed" || unsaved(id) !== null
        ? make("p", { class: "quiet", text: `${words} ${state === "signed" ? "Reopen the report" : "Save the text below"} to bring it back.` })
        : make("div", { class: "row" }, make("p", { class: "quiet", text: words }), button("Bring it back", { sign: "back", class: "chip", on: { click: back } })),
    );
  }
  find("#others").replaceChildren(...lines);
}

/** Show both texts. What is chosen holds for these two alone: a third that comes meanwhile is refused again. */
function choose() {
  const { id, state, last_text: last } = study();
  conflict.compare({ keep: () => keepMine(id, state, last), take: takeTheirs });
}

/** Save the reader's text on top of what somebody else kept, as it was shown. */
async function keepMine(id, state, last) {
  try {
    if (state === "signed") await api.reopen(id);
  } catch (problem) {
    return warn(problem.message, choose);
  }
  goOnFrom(id, last);
  await refresh(id);
  if (study().id === id) await save();
}

/** Go on with what somebody else kept. */
function takeTheirs() {
  putAside(study().id);
  speak("study", { another: false });
  tell("Their text stands; yours is put aside.");
}

function render() {
  const view = find("#own");
  clearTimeout(typing);
  if (study().state === "signed") return renderSigned(view);
  const area = make("textarea", { id: "text", maxlength: MOST_SIGNS, spellcheck: "true", rows: "4", "aria-describedby": "text-state", "aria-keyshortcuts": "e", on: { input: typed } });
  view.replaceChildren(
    make("div", { class: "head" }, make("h2", {}, make("label", { for: "text", text: "Your report" })), make("span", { id: "text-notice" })),
    make("div", { id: "others" }),
    area,
    make(
      "div",
      { class: "row" },
      button("Sign", { id: "sign", sign: "signed", key: "Control+Enter", class: "main", on: { click: sign } }),
      button("Save", { id: "save", sign: "save", key: "Control+S", on: { click: save } }),
      button("Back to the draft", { id: "revert", sign: "back", on: { click: revert } }),
    ),
    make("p", { id: "text-state", role: "status", class: "quiet" }),
    make("div", { id: "changes", "aria-label": "Changes against the draft", role: "group" }),
  );
  fill();
}

/** Put the text in that the reader would go on with, and tell how it stands. */
function fill() {
  const area = field();
  if (!area) return;
  const wanted = textToEdit();
  // A text under the reader's hand is not touched: it is the one that is kept.
  if (area.value !== wanted) area.value = wanted;
  tellState();
}

function typed() {
  const { id } = study();
  keepUnsaved(id, field().value, study().last_text);
  refused = { id: null, why: null };
  clearTimeout(typing);
  typing = setTimeout(() => {
    tellState();
    // The line says that something is not saved.
    speak("study", { another: false });
  }, TYPING_MS);
}

/** Tell how the text stands towards the draft and towards what is saved. */
function tellState() {
  const [kept, last, now] = [unsaved(study().id), lastText(), draft()];
  const states = [
    [kept !== null && refused.id === study().id, `Not saved: ${refused.why} Your text is kept in this tab.`, "trouble"],
    [kept !== null, "Not saved yet; kept in this tab.", "waiting"],
    [last, last && `${last.signed ? "Signed, then reopened; by" : "Saved by"} ${last.by}, ${moment(last.at)}.`, "saved"],
    [now, "The draft as the model wrote it.", "none"],
    [true, "Write the report here.", "none"],
  ];
  const [, words, state] = states.find(([holds]) => holds);
  const place = find("#text-state");
  place.dataset.state = state;
  if (place.textContent !== words) place.textContent = words;
  find("#text-notice").replaceChildren(...(now ? [unverified("From an AI draft — not verified until signed")] : []));
  find("#revert").hidden = !now || field().value === now.text;
  find("#save").disabled = kept === null;
  find("#changes").replaceChildren(...(now ? compared(now.text, field().value) : []));
}

/** Return a draft with what was added and removed. */
export function compared(before, after) {
  const parts = changes(before, after);
  const { added, removed } = count(parts);
  if (parts.every((part) => part.kind === "same")) return [make("p", { class: "quiet", text: "No change against the draft." })];
  const kinds = { same: "span", added: "ins", removed: "del" };
  return [
    make("h3", { text: `Against the draft: ${counted(added, "word")} added, ${removed} removed` }),
    make("p", { class: "diff" }, parts.map(({ kind, text }) => make(kinds[kind], { text }))),
  ];
}

function revert() {
  field().select();
  // As if it were typed: the browser's undo brings the reader's own words back.
  document.execCommand(draft().text ? "insertText" : "delete", false, draft().text);
  tell("The draft's text stands again. Ctrl+Z brings yours back.");
}

/** Save the text; if that fails it stays where it is. */
export async function save() {
  const [{ id }, area] = [study() ?? {}, field()];
  if (!area) return;
  if (unsaved(id) === null) return tell("Nothing to save: no word was changed.");
  const text = area.value;
  let saved;
  try {
    saved = await api.save(id, text, time.seconds, writtenFrom(id), draft()?.id);
  } catch (problem) {
    if (problem.overtaken) return meetOther(id);
    refused = { id, why: problem.message };
    if (study().id === id) tellState();
    return warn(problem.message, save);
  }
  // What was typed while it was being saved is not saved.
  if (unsaved(id) === text) forgetUnsaved(id);
  else goOnFrom(id, saved.id);
  refused = { id: null, why: null };
  tell("Saved.");
  await refresh(id);
}

/** Read what somebody else kept meanwhile, and let the reader choose. */
async function meetOther(id) {
  await refresh(id);
  if (study().id === id && conflict.overtaken()) choose();
}

/** Ask once more, then sign. */
export function sign() {
  if (find("dialog[open]") || !study() || signing === study().id) return;
  if (!field()) return tell("This report is signed already. o reopens it.");
  if (conflict.overtaken()) return choose();
  if (!field().value.trim()) return warn("An empty report cannot be signed.");
  const { id, last_text: last } = study();
  const [text, seen] = [field().value, draft()];
  // What is signed is what is shown here, written from what the reader has seen: a text that comes meanwhile is not covered.
  const basedOn = unsaved(id) === null ? last : writtenFrom(id);
  const go = ({ submitter }) => ["sign", "next"].includes(submitter?.value) && signed({ id, text, seen, basedOn }, submitter.value === "next");
  const dialog = make(
    "dialog",
    { id: "signing", "aria-labelledby": "signing-title", on: { close: () => dialog.remove() } },
    make("h2", { id: "signing-title", text: "Sign this report?" }),
    make("p", { class: "report-text", text }),
    ...(seen ? compared(seen.text, text) : []),
    make("p", { text: "With your signature you, not the model, answer for this text. You have looked at the film." }),
    make(
      "form",
      { method: "dialog", class: "row", on: { submit: go } },
      make("button", { value: "sign", class: "main", autofocus: true, text: "Sign" }),
      make("button", { value: "next", title: "Sign and go to the next study (Ctrl+Enter)", "aria-keyshortcuts": "Control+Enter", text: "Sign, next study" }),
      make("button", { value: "no", text: "Not yet" }),
    ),
  );
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    // The dialog is closed at once: the same key must not ask about a signature anew.
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) find("[value=next]", dialog).click();
  });
  document.body.append(dialog);
  dialog.showModal();
}

async function signed({ id, text, seen, basedOn }, goOn) {
  if (signing === id) return;
  signing = id;
  try {
    await api.sign(id, text, time.seconds, basedOn, seen?.id);
  } catch (problem) {
    keepUnsaved(id, text, basedOn);
    if (problem.overtaken) return meetOther(id);
    if (study().id === id) fill();
    if (problem.status === 409) await refresh(id);
    return warn(`Not signed: ${problem.message}`, problem.status === 409 ? null : () => study().id === id && sign());
  } finally {
    signing = null;
  }
  forgetUnsaved(id);
  tell("Signed.");
  await refresh(id);
  if (study().id !== id) return;
  if (goOn) await worklist.step(1);
  else find("#report").focus();
}

/** Let a signed report be edited again. */
export async function reopen() {
  if (!study()) return;
  if (study().state !== "signed") return tell("This report is not signed: there is nothing to reopen.");
  const { id } = study();
  try {
    await api.reopen(id);
  } catch (problem) {
    warn(problem.message, reopen);
  }
  await refresh(id);
  edit();
}

function renderSigned(view) {
  const last = study().signatures.at(-1);
  const from = draftOf(last);
  view.replaceChildren(
    make("div", { class: "head" }, make("h2", { text: "Signed report" })),
    make("div", { id: "others" }),
    make("p", { class: "report-text signed", text: last.text }),
    make("p", { class: "signature" }, "Signed by ", make("strong", { text: last.signed_by }), `, ${moment(last.signed_at)}`),
    make("div", { id: "changes" }, ...(from ? compared(from.text, last.text) : [])),
    make("div", { class: "row" }, button("Reopen", { sign: "edited", key: "o", on: { click: reopen } }), button("Print", { sign: "print", key: "Control+P", on: { click: () => window.print() } })),
  );
}
