// How numbers and codes are put into words. Nothing here decides; it only speaks.

export const STATES = {
  new: "New",
  refused: "Refused",
  drafted: "AI draft",
  edited: "Edited",
  signed: "Signed",
};

/** From which probability on an observation is called so; the steps are also those of the scale that is drawn. */
const CONFIDENCE = [
  [0.9, "very likely"],
  [0.65, "likely"],
  [0.35, "uncertain"],
  [0.1, "unlikely"],
  [0, "very unlikely"],
];
/** The same for the faithfulness of an evidence map, where 0 is chance. */
const FAITHFULNESS = [
  [0.3, "strong", "the sentence depends on what is marked"],
  [0.1, "moderate", "the sentence depends in part on what is marked"],
  [0.03, "weak", "the sentence hardly depends on what is marked"],
  [-0.03, "none", "no better than chance: do not read anything into the map"],
  [-Infinity, "contrary", "worse than chance: the map is misleading"],
];
const SAID = {
  POSITIVE: "draft says present",
  NEGATIVE: "draft says absent",
  UNCERTAIN: "draft is unsure",
  UNMENTIONED: "not in the draft",
};
const DISPLAYED = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });

/** Return a probability in words and its step, 4 (very likely) to 0. */
export function confidence(probability) {
  const place = CONFIDENCE.findIndex(([least]) => probability >= least);
  return { words: CONFIDENCE[place][1], step: CONFIDENCE.length - 1 - place };
}

/** Return the faithfulness of a map in words. */
export function faithfulness(score) {
  const [, short, long] = FAITHFULNESS.find(([least]) => score >= least);
  return { short, long };
}

/** Return what a draft says of an observation. */
export function said(state) {
  return SAID[state] ?? state.toLowerCase();
}

/** Whether a draft and the encoder say opposite things. */
export function disagree({ state, probability }) {
  if (probability === null) return false;
  return (state === "POSITIVE" && probability < 0.35) || (state !== "POSITIVE" && state !== "UNCERTAIN" && probability >= 0.65);
}

/** Return a person name (PS3.5 6.2.1.1) as it is read: family name, then given names. */
export function personName(name) {
  if (!name) return null;
  const [family, given, middle] = name.split("=")[0].split("^");
  return [family, [given, middle].filter(Boolean).join(" ")].filter(Boolean).join(", ") || null;
}

/** Return who a study is of, or that its films do not say. */
export function patient(study) {
  return personName(study.patient_name) ?? study.patient_id ?? `No name · ${study.id.slice(0, 6)}`;
}

/** Return a date of a header, YYYYMMDD, as it is read. */
export function day(date) {
  return date && /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : null;
}

/** Return a moment as it is read here. */
export function moment(text) {
  return DISPLAYED.format(new Date(text));
}

/** Return a moment's time of day. */
export const clock = (moment) => CLOCK.format(moment);

/** Return how long a moment is gone. */
export function ago(text) {
  const minutes = Math.floor((Date.now() - new Date(text)) / 60_000);
  return minutes < 1 ? "just opened" : minutes < 60 ? `opened ${counted(minutes, "minute")} ago` : `opened at ${clock(new Date(text))}`;
}

/** Return when a study was made, else when it came. */
export function taken(study) {
  return day(study.study_date) ?? `received ${moment(study.received_at)}`;
}

/** Return a count with its word. */
export function counted(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** Return what a film is called. */
export function filmName(image, number) {
  return image.view ? `${number + 1} · ${image.view}` : `Film ${number + 1}`;
}
