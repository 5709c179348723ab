// What the tab keeps by itself: texts that are not saved yet and reading times (gone with the tab), and how a reader likes the room.

const text = (studyId) => `radlet.text.${studyId}`;
const seconds = (studyId) => `radlet.reading_s.${studyId}`;

/** Return the text of a study that was not saved yet; null if there is none. */
export const unsaved = (studyId) => sessionStorage.getItem(text(studyId));

/** Keep a text until it is saved. */
export const keepUnsaved = (studyId, words) => sessionStorage.setItem(text(studyId), words);

/** Forget a text that the server has. */
export const forgetUnsaved = (studyId) => sessionStorage.removeItem(text(studyId));

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
