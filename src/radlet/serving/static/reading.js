// The study that is open, and who wants to know of it. The address names it by an identifier that tells nothing.

import * as api from "./api.js";
import { unsaved, ReadingTime } from "./kept.js";
import { warn } from "./notices.js";

/** Speaks "study" (another or a changed one is open), "drafting" (news of a draft), "worklist" (lines have changed). */
export const reading = new EventTarget();
export const time = new ReadingTime();

let current = null;
let wanted = null;

/** The study that is open, as the API tells of it; null if none is. */
export const study = () => current;

/** Its last draft. */
export const draft = () => current?.drafts.at(-1) ?? null;

/** The draft that stood beside a text that was kept; null if none did. */
export const draftOf = (kept) => current.drafts.find((one) => one.id === kept.draft_id) ?? null;

/** Tell of a change. */
export const speak = (kind, detail = null) => reading.dispatchEvent(new CustomEvent(kind, { detail }));

/** Open a study. If it is asked for again it is read anew; `another` tells listeners which it was. */
export async function open(id) {
  wanted = id;
  try {
    const found = await api.study(id);
    if (wanted !== id) return;
    const another = current?.id !== id;
    current = found;
    if (another) time.open(id);
    if (location.hash !== `#study=${id}`) history.replaceState(null, "", `#study=${id}`);
    speak("study", { another });
  } catch (problem) {
    warn(problem.message, () => open(id));
  }
}

/** Read the open study anew, if it still is the one. */
export async function refresh(id) {
  if (current?.id === id) await open(id);
  speak("worklist");
}

/** Return the study that the address names. */
export const addressed = () => /^#study=([\w-]+)$/.exec(location.hash)?.[1] ?? null;

/** Return what somebody saved or signed last: {id, text, by, at, signed}; null if nobody did. */
export function lastText() {
  const edit = current.edits.find((one) => one.id === current.last_text);
  if (edit) return { id: edit.id, text: edit.text, by: edit.author, at: edit.created_at, signed: false };
  const signature = current.signatures.find((one) => one.id === current.last_text);
  return signature ? { id: signature.id, text: signature.text, by: signature.signed_by, at: signature.signed_at, signed: true } : null;
}

/** Return the text that a reader would go on with: what is not saved, else what was, else the draft's. */
export function textToEdit() {
  return unsaved(current.id) ?? lastText()?.text ?? draft()?.text ?? "";
}
