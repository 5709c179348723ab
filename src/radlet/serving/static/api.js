// All that is asked of the server. Errors come back as `Problem`, in words a reader can act on.

const LOST = "The reading room cannot be reached. Nothing you wrote is lost: it is kept in this tab. Try again in a moment.";
const SAID = {
  401: "You are no longer logged in. Log in again in another tab; what you wrote is kept here.",
  403: "Your account may not do this.",
  408: "This took too long to arrive. Try again.",
  413: "This is larger than the reading room takes.",
  503: "The reading room is stopping or its model is not ready. Nothing you wrote is lost; try again in a moment.",
};

/** What went wrong, in words. */
export class Problem extends Error {
  /**
   * @param {string} message In words.
   * @param {number} status Of HTTP; 0 where there was no answer.
   * @param {number} retryAfterS Seconds to wait.
   * @param {boolean} overtaken Somebody else saved or signed meanwhile.
   */
  constructor(message, status, retryAfterS = 0, overtaken = false) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.overtaken = overtaken;
  }
}

const NOBODY = { account: null, roles: [], csrf: null };
let session = null;
let reader = null;

/** Return who one is; asked once, and anew after a problem with it. */
export function whoAmI() {
  session ??= fetch("/api/session", { redirect: "error" })
    .then((answer) => (answer.ok ? answer.json() : NOBODY))
    .catch(() => {
      session = null;
      return NOBODY;
    });
  return session;
}

/** Return the header that shows the server that a change was meant by its own page; none where nobody logs in. */
async function crossSiteToken() {
  const { csrf, account } = await whoAmI();
  reader ??= account;
  // Somebody else has logged in in another tab: what was written here is not theirs to sign.
  if (account !== null && account !== reader) {
    session = null;
    throw new Problem(`${account} is logged in now, not ${reader}. Nothing was sent; ${reader} must log in again.`, 403);
  }
  return csrf ? { "X-CSRF-Token": csrf } : {};
}

async function problemOf(answer) {
  let told = "";
  let code = null;
  try {
    ({ message: told, code } = (await answer.json()).error);
  } catch {
    told = `The server answered ${answer.status}.`;
  }
  const words = answer.status in SAID ? `${SAID[answer.status]} (${told})` : told;
  return new Problem(words, answer.status, Number(answer.headers.get("Retry-After")) || 0, code === "overtaken");
}

async function ask(path, { method = "GET", json = null, body = null, signal = null } = {}) {
  const headers = method === "GET" ? {} : await crossSiteToken();
  if (json !== null) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: json === null ? body : JSON.stringify(json), signal, redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(LOST, 0);
  }
  if (answer.status === 401 || answer.status === 403) session = null;
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

const told = async (path, options) => (await ask(path, options)).json();
const at = (studyId) => `/api/studies/${encodeURIComponent(studyId)}`;

export const model = () => told("/api/model");
export const statistics = (days) => told(`/api/statistics?days=${encodeURIComponent(days)}`);
export const drift = () => told("/api/drift");
export const study = (id) => told(at(id));
export const gate = (id) => told(`${at(id)}/gate`);
export const similar = (id) => told(`${at(id)}/similar`);
export const question = (id, words) => told(`${at(id)}/question`, { method: "POST", json: { question: words } });
export const evidence = (id, draftId, number) => told(`${at(id)}/drafts/${encodeURIComponent(draftId)}/sentences/${number}`);
export const meanwhile = (id) => told(`${at(id)}/meanwhile`);
export const save = (id, text, readingS, basedOn, draftId) => told(`${at(id)}/report`, { method: "PUT", json: { text, reading_s: readingS, based_on: basedOn, draft_id: draftId } });
export const sign = (id, text, readingS, basedOn, draftId) => told(`${at(id)}/signature`, { method: "POST", json: { text, reading_s: readingS, based_on: basedOn, draft_id: draftId } });
export const reopen = (id) => ask(`${at(id)}/reopen`, { method: "POST" });
export const logOut = () => ask("/logout", { method: "POST" });
export const feedback = (draftId, kind, note) =>
  ask(`/api/drafts/${encodeURIComponent(draftId)}/feedback`, { method: "POST", json: { kind, note } });

/** Return the values of a film, in all the greys that its file has, and how they are read. */
export async function film(imageId) {
  const answer = await ask(`/api/images/${encodeURIComponent(imageId)}/values`);
  const told = JSON.parse(answer.headers.get("Film"));
  const bytes = await answer.arrayBuffer();
  return { ...told, values: told.bits === 16 ? new Uint16Array(bytes) : new Uint8Array(bytes) };
}

/** Return a page of the worklist. */
export function worklist({ state, words, limit, offset = 0 }) {
  const query = new URLSearchParams({ limit, offset });
  if (state) query.set("state", state);
  if (words) query.set("words", words);
  return told(`/api/studies?${query}`);
}

/** Send a film. */
export function upload(film, indication) {
  const body = new FormData();
  body.append("films", film);
  if (indication) body.append("indication", indication);
  return told("/api/studies", { method: "POST", body });
}

/** Yield the news of a draft: {text}, then {draft}. */
export async function* draft(id, signal) {
  const answer = await ask(`${at(id)}/draft`, { method: "POST", signal });
  let last = null;
  try {
    for await (const event of serverSent(answer.body)) {
      if (event.error) throw new Problem(event.error, 504);
      last = event;
      yield event;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw new Problem(LOST, 0);
  }
  if (!last?.draft) throw new Problem("The draft broke off before its end. Draft the study again.", 0);
}

/** Yield the events of a stream (WHATWG HTML, section 9.2), whose data are JSON. */
async function* serverSent(stream) {
  const [reader, decoder] = [stream.getReader(), new TextDecoder()];
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}
