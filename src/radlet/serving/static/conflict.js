// Two readers, one study: what somebody else saved or signed while the reader wrote, and the choice between the two texts.

import { changes, count } from "./diff.js";
import { button, find, make } from "./dom.js";
import { forgetUnsaved, unsaved, writtenFrom } from "./kept.js";
import { lastText, study } from "./reading.js";
import { counted, moment } from "./words.js";

/** Whether a text that is not saved was written from one that is not the last any more. */
export function overtaken() {
  const { id, last_text: last } = study();
  return unsaved(id) !== null && writtenFrom(id) !== last;
}

/** Let go of a text that is the last one already: the answer to its saving was lost on the way, or it was typed back. */
export function settle() {
  if (lastText()?.text === unsaved(study().id)) forgetUnsaved(study().id);
}

/** Say who was faster; `choose` shows the texts. */
export function notice(choose) {
  const { by, at, signed } = lastText();
  return make(
    "div",
    { id: "overtaken", role: "alert" },
    make("p", { text: `${by} ${signed ? "signed" : "saved"} another text meanwhile (${moment(at)}). Yours is not saved, and not lost.` }),
    button("Compare and choose", { sign: "compare", class: "main", on: { click: choose } }),
  );
}

/** Show both texts side by side with what tells them apart; `keep` and `take` do what the reader chooses. */
export function compare({ keep, take }) {
  find("#choosing")?.close();
  const [theirs, mine] = [lastText(), unsaved(study().id)];
  const parts = changes(theirs.text, mine);
  const { added, removed } = count(parts);
  const side = (title, hidden, tag) =>
    make(
      "section",
      {},
      make("h3", { text: title }),
      make("p", { class: "report-text", tabindex: "0" }, parts.filter(({ kind }) => kind !== hidden).map(({ kind, text }) => make(kind === "same" ? "span" : tag, { text }))),
    );
  const chosen = ({ submitter }) => ({ keep, take })[submitter?.value]?.();
  const signed = study().state === "signed";
  const after = signed
    ? "With yours on top the report is reopened and yours saved as the last text; their signature stays in the record."
    : "With yours on top both texts stay in the record.";
  const dialog = make(
    "dialog",
    { id: "choosing", "aria-labelledby": "choosing-title", on: { close: () => dialog.remove() } },
    make("h2", { id: "choosing-title", text: "Two texts of one report" }),
    make("p", { class: "quiet", text: `${counted(removed, "word")} only in theirs, ${added} only in yours.` }),
    make(
      "div",
      { class: "sides" },
      side(`Theirs: ${theirs.signed ? "signed" : "saved"} by ${theirs.by}, ${moment(theirs.at)}`, "added", "del"),
      side("Yours: not saved", "removed", "ins"),
    ),
    make("p", { text: `${after} If you take theirs, yours is put aside in this tab and can be brought back.` }),
    make(
      "form",
      { method: "dialog", class: "row", on: { submit: chosen } },
      make("button", { value: "keep", text: signed ? "Reopen, mine on top" : "Keep mine on top" }),
      make("button", { value: "take", text: "Take theirs" }),
      make("button", { value: "later", class: "bare", autofocus: true, text: "Decide later" }),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}
