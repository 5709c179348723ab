// The printed page: the report, who answers for it, and if nobody does, that.

import { find, make } from "./dom.js";
import { draft, draftOf, study, textToEdit } from "./reading.js";
import { moment, patient, taken } from "./words.js";

/** Fill the page just before it is printed. */
export function begin() {
  window.addEventListener("beforeprint", fill);
}

function fill() {
  const page = find("#print");
  if (!study()) return page.replaceChildren(make("p", { text: "No study is open." }));
  const last = study().state === "signed" ? study().signatures.at(-1) : null;
  const notice = draft() ? "AI draft — not verified" : "Not signed";
  const facts = [patient(study()), study().patient_id, study().sex, taken(study()), study().accession_number && `accession ${study().accession_number}`];
  const from = last ? draftOf(last) : draft();
  const about = from && `Prepared with the model ${from.model.name} (checkpoint ${from.model.checkpoint_digest.slice(0, 12)}). ${from.model.notice}`;
  page.replaceChildren(
    last ? "" : make("p", { class: "stamp", text: notice.toUpperCase() }),
    make("h1", { text: "Chest radiograph" }),
    make("p", { text: facts.filter(Boolean).join(" · ") }),
    study().indication ? make("p", { text: `Indication: ${study().indication}` }) : "",
    make("h2", { text: last ? "Report" : `Report (${notice})` }),
    make("p", { class: "report-text", text: last ? last.text : textToEdit() }),
    make("p", { class: "signature", text: last ? `Signed by ${last.signed_by}, ${moment(last.signed_at)}` : "Nobody has signed this text." }),
    about ? make("p", { class: "quiet", text: about }) : "",
  );
}
