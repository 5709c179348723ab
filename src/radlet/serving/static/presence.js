// Who else has the study open, and what they did to it: asked every few seconds, so that nobody writes against an old text.

import * as api from "./api.js";
import { find, icon, make } from "./dom.js";
import { tell } from "./notices.js";
import { lastText, reading, refresh, study } from "./reading.js";
import { ago } from "./words.js";

const ASK_AGAIN_MS = 15_000;
let asking = 0;

/** Ask when a study is opened, and from then on. */
export function begin() {
  reading.addEventListener("study", ({ detail }) => {
    if (!detail.another) return;
    find("#colleagues").replaceChildren();
    ask();
  });
  setInterval(ask, ASK_AGAIN_MS);
  document.addEventListener("visibilitychange", ask);
}

/** Ask of its own accord: where nobody answers, the next request of the reader will tell. */
async function ask() {
  if (!study() || document.visibilityState !== "visible") return;
  const { id } = study();
  const number = (asking += 1);
  let news;
  try {
    news = await api.meanwhile(id);
  } catch {
    return;
  }
  if (study().id !== id || number !== asking) return;
  tellColleagues(news.colleagues);
  if (isNews(news)) await takeIn(id, news.last_text);
}

/** Whether the study is not any more as it is shown. */
function isNews({ state, last_text: text, last_draft: draft, films }) {
  const now = study();
  return films !== now.images.length || state !== now.state || text !== now.last_text || draft !== (now.drafts.at(-1)?.id ?? null);
}

async function takeIn(id, text) {
  const before = study().last_text;
  await refresh(id);
  if (study().id !== id || text === before) return;
  const last = lastText();
  if (last) tell(`${last.by} ${last.signed ? "signed" : "saved"} another text of this study.`);
}

function tellColleagues(colleagues) {
  const lines = colleagues.map(({ account, opened_at: at }) => make("p", {}, icon("colleague"), make("strong", { text: account }), ` has this study open too, ${ago(at)}`));
  const words = lines.map((line) => line.textContent).join();
  // Told once, and not at every look, to those who listen.
  if (find("#colleagues").textContent !== words) find("#colleagues").replaceChildren(...lines);
}
