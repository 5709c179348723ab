// Films that a reader brings: dropped anywhere, or chosen from the disk.

import * as api from "./api.js";
import { find, icon, make } from "./dom.js";
import { tell } from "./notices.js";
import { open, speak } from "./reading.js";
import { counted } from "./words.js";

const MOST_NAMED = 6;

/** Wire dropping, and the button. */
export function begin() {
  let inside = 0;
  const cover = (shown) => {
    find("#drop").hidden = !shown;
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    inside += 1;
    cover(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!holdsFiles(event)) return;
    inside = Math.max(inside - 1, 0);
    cover(inside > 0);
  });
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    inside = 0;
    cover(false);
    if (event.dataTransfer.files.length) ask([...event.dataTransfer.files]);
  });
  for (const place of ["#upload", "#first-upload"]) find(place).addEventListener("click", () => ask([]));
}

/** Ask which films, and why they were taken. */
export function ask(films = []) {
  find("#adding")?.close();
  const files = make("input", { type: "file", multiple: true, id: "files", accept: ".dcm,.png,.jpg,.jpeg,application/dicom,image/png,image/jpeg,*/*" });
  const indication = make("input", { id: "indication", maxlength: "2000", autocomplete: "off", placeholder: "Cough and fever." });
  const list = make("p", { class: "quiet" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const send = make("button", { class: "main", value: "send", text: "Add" });
  const told = make("div", { "aria-live": "polite" });
  const listed = () => {
    const names = films.slice(0, MOST_NAMED).map((one) => one.name).join(", ");
    const more = films.length > MOST_NAMED ? ` and ${films.length - MOST_NAMED} more` : "";
    list.textContent = films.length ? `${counted(films.length, "film")}: ${names}${more}` : "DICOM, PNG or JPEG.";
    send.disabled = !films.length;
  };
  files.addEventListener("change", () => {
    films = [...files.files];
    listed();
  });
  const submit = async (event) => {
    event.preventDefault();
    if (event.submitter?.value !== "send") return dialog.close();
    send.disabled = true;
    trouble.textContent = "";
    const { received, failed, left, why } = await sendAll(films, indication.value.trim(), (words) => {
      send.textContent = words;
      return dialog.isConnected;
    });
    // What did not get through can be sent once more.
    films = left;
    listed();
    send.textContent = "Add";
    trouble.textContent = [why, ...failed.map(({ name, message }) => `${name}: ${message}`)].filter(Boolean).join(" ");
    if (!received.length) return;
    speak("worklist");
    await open(received[0].study_id);
    const added = received.filter((one) => one.new).length;
    tell(added ? `${counted(added, "new film")} on the worklist.` : "Nothing new: these films were on the worklist already.");
    const clean = received.every((one) => one.gate.passed && !one.gate.reasons.length && one.new);
    if (clean && !failed.length && !left.length) return dialog.close();
    fields.hidden = send.hidden = !left.length;
    // What was refused is not buried under what went well.
    const sorted = received.toSorted((a, b) => rank(a) - rank(b));
    told.replaceChildren(make("ul", { class: "received" }, sorted.map((one) => verdict(one, one.name))));
    find("[value=no]", dialog).textContent = "Close";
  };
  const fields = make("div", { class: "fields" }, make("label", { for: "files", text: "Films" }), files, list, make("label", { for: "indication", text: "Indication (where the films do not say it)" }), indication);
  const dialog = make(
    "dialog",
    { id: "adding", "aria-labelledby": "adding-title", on: { close: () => dialog.remove() } },
    make("form", { on: { submit } }, make("h2", { id: "adding-title", text: "Add films" }), fields, told, trouble, make("div", { class: "row" }, send, make("button", { value: "no", text: "Cancel" }))),
  );
  listed();
  document.body.append(dialog);
  dialog.showModal();
  (films.length ? indication : files).focus();
}

/**
 * Send films one by one, so that a bad one keeps no other out, and eighty are not too large for one request.
 *
 * @param {(words: string) => boolean} progress Told before each; whether to go on.
 */
async function sendAll(films, indication, progress) {
  const [received, failed] = [[], []];
  for (const [number, film] of films.entries()) {
    const going = progress(films.length > 1 ? `Adding ${number + 1} of ${films.length} …` : "Adding …");
    if (!going) return { received, failed, left: films.slice(number) };
    try {
      const [one] = await api.upload(film, indication);
      received.push({ ...one, name: film.name });
    } catch (problem) {
      // Only what is wrong with the film itself lets the others go on.
      if (![413, 422].includes(problem.status)) return { received, failed, left: films.slice(number), why: problem.message };
      failed.push({ name: film.name, message: problem.message });
    }
  }
  return { received, failed, left: [] };
}

/** Refused, warned of, here already, passed. */
const rank = ({ gate, new: isNew }) => (!isNew ? 2 : !gate.passed ? 0 : gate.reasons.length ? 1 : 3);

/** Tell what became of a film. */
function verdict({ gate, new: isNew }, name) {
  const [sign, words] = !isNew ? ["info", "was here already"] : gate.passed ? ["signed", "passed the input gate"] : ["refused", "refused by the input gate"];
  return make("li", {}, icon(sign), make("strong", { text: name }), ` ${words}.`, gate.reasons.map((one) => ` ${one.words}`));
}
