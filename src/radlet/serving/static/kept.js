// What the tab keeps by itself: texts that are not saved yet and reading times (gone with the tab), and how a reader likes the room.

const text = (studyId) => `radlet.text.${studyId}`;
const base = (studyId) => `radlet.based_on.${studyId}`;
const beside = (studyId) => `radlet.aside.${studyId}`;
const seconds = (studyId) => `radlet.reading_s.${studyId}`;

/** Return the text of a study that was not saved yet; null if there is none. */
export const unsaved = (studyId) => sessionStorage.getItem(text(studyId));

/** Keep a text until it is saved; `basedOn`, the edit or signature that it is written from, counts where it begins. */
export function keepUnsaved(studyId, words, basedOn) {
  if (unsaved(studyId) === null) goOnFrom(studyId, basedOn);
  sessionStorage.setItem(text(studyId), words);
}

/** Return the edit or signature that the text was written from; null is the draft. */
export const writtenFrom = (studyId) => sessionStorage.getItem(base(studyId)) || null;

/** Say that the text takes account of another edit or signature from now on. */
export const goOnFrom = (studyId, basedOn) => sessionStorage.setItem(base(studyId), basedOn ?? "");

/** Forget a text that the server has. */
export function forgetUnsaved(studyId) {
  sessionStorage.removeItem(text(studyId));
  sessionStorage.removeItem(base(studyId));
}

/** Return the text that was put aside for somebody else's; null if there is none. */
export const aside = (studyId) => sessionStorage.getItem(beside(studyId));

/** Put the text that is not saved aside. */
export function putAside(studyId) {
  sessionStorage.setItem(beside(studyId), unsaved(studyId));
  forgetUnsaved(studyId);
}

/** Go on with the text that was put aside. */
export function bringBack(studyId, basedOn) {
  keepUnsaved(studyId, aside(studyId), basedOn);
  sessionStorage.removeItem(beside(studyId));
}

/** Whether any text of the tab is not saved yet. */
export const anyUnsaved = () => Object.keys(sessionStorage).some((key) => key.startsWith(text("")));

/** Say who reads in this tab: what another account left in it is not theirs to see. */
export function belongTo(account) {
  if (account !== (sessionStorage.getItem("radlet.account") ?? account)) sessionStorage.clear();
  sessionStorage.setItem("radlet.account", account);
}

/** Forget all that the tab keeps. */
export const forgetAll = () => sessionStorage.clear();

/** Return a liking, such as the theme. */
export const liking = (name) => localStorage.getItem(`radlet.${name}`);

/** Keep a liking; null forgets it. */
export function keepLiking(name, value) {
  if (value === null) localStorage.removeItem(`radlet.${name}`);
  else localStorage.setItem(`radlet.${name}`, value);
}

/** Measures how long a study has been open before the reader's eyes. */
export class ReadingTime {
  #studyId = null;
  #since = null;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#turn(document.visibilityState === "visible"));
    window.addEventListener("pagehide", () => this.#turn(false));
  }

  /** Measure for another study from now on. */
  open(studyId) {
    this.#turn(false);
    this.#studyId = studyId;
    this.#turn(document.visibilityState === "visible");
  }

  /** Return the seconds so far. */
  get seconds() {
    this.#turn(false);
    this.#turn(true);
    return Math.min(Number(sessionStorage.getItem(seconds(this.#studyId))) || 0, 86_400);
  }

  #turn(on) {
    if (this.#studyId && this.#since !== null) {
      const before = Number(sessionStorage.getItem(seconds(this.#studyId))) || 0;
      sessionStorage.setItem(seconds(this.#studyId), (before + (performance.now() - this.#since) / 1000).toFixed(1));
    }
    this.#since = on ? performance.now() : null;
  }
}
