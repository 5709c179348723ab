// Drafts that are being written. They go on while the reader looks at another study.

import * as api from "./api.js";
import { warn } from "./notices.js";
import { refresh, speak } from "./reading.js";

/** By study: {text, words, controller}; `words` say what is waited for. */
const running = new Map();

/** Return the draft that is being written of a study; undefined if there is none. */
export const underWay = (studyId) => running.get(studyId);

/** Stop writing; nothing of it is kept. */
export const stop = (studyId) => running.get(studyId)?.controller.abort();

/** Draft a study. Where the line is full, wait as long as the server asks, and try again until the reader stops it. */
export async function start(studyId) {
  if (running.has(studyId)) return;
  const mine = { text: "", words: "Waiting for the model …", controller: new AbortController() };
  running.set(studyId, mine);
  tell(studyId);
  try {
    while (!(await written(studyId, mine)));
  } catch (problem) {
    if (problem.name !== "AbortError") warn(problem.message, problem.status === 422 ? null : () => start(studyId));
  } finally {
    running.delete(studyId);
    await refresh(studyId);
    tell(studyId);
  }
}

/** Write one draft; return whether it was done, or the line was full. */
async function written(studyId, mine) {
  try {
    for await (const news of api.draft(studyId, mine.controller.signal)) {
      if (!news.text) continue;
      mine.words = "The model is writing …";
      mine.text += news.text;
      tell(studyId);
    }
    return true;
  } catch (problem) {
    if (problem.status !== 429) throw problem;
    await countDown(studyId, mine, Math.max(problem.retryAfterS, 1));
    return false;
  }
}

async function countDown(studyId, mine, seconds) {
  for (let left = seconds; left > 0; left -= 1) {
    mine.words = `Many drafts are being written. Trying again in ${left} s …`;
    tell(studyId);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    mine.controller.signal.throwIfAborted();
  }
  mine.words = "Waiting for the model …";
}

const tell = (studyId) => speak("drafting", { studyId });
