"""Write a report about an exam and keep, sentence by sentence, what each states about which finding.

Rules that tests and users may rely on:

- the findings section states every finding that is present, with its side, in a sentence of its own;
- nothing present is ever denied or hedged, and only what is absent is denied;
- the rare uncertain sentence ("cannot be excluded", "possible") is only ever about something that is absent;
- words of comparison are computed from the patient's true previous exam.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radlet.core.records import State
from radlet.data.sources.synthetic import phrases
from radlet.data.sources.synthetic.findings import SEVERITIES, Lesion


@dataclass(frozen=True)
class Statement:
    """What a sentence says of one observation; `finding` is the index of the finding it is about, if one is there."""

    observation: str
    state: State
    finding: int | None = None


@dataclass(frozen=True)
class Sentence:
    """One sentence, its section, and the truth behind it; `compares`: whether it refers to the previous exam."""

    text: str
    section: str
    statements: tuple[Statement, ...] = ()
    compares: bool = False


@dataclass(frozen=True)
class Report:
    """A whole report; `identifiers` are the strings planted in it that must not survive de-identification."""

    text: str
    sentences: tuple[Sentence, ...]
    identifiers: tuple[str, ...] = ()

    def section(self, name: str) -> str:
        """Return the text of one section, empty when it was not written."""
        return " ".join(sentence.text for sentence in self.sentences if sentence.section == name)


@dataclass(frozen=True)
class Subject:
    """What the writer of a report knows.

    Attributes:
        lesions: What is there.
        prior: What was there at the previous exam, None when there was none.
        days_since: Days since that exam.
        views: The films.
    """

    lesions: tuple[Lesion, ...]
    prior: tuple[Lesion, ...] | None
    days_since: int
    views: tuple[str, ...]
    sex: str
    age_years: int


@dataclass(frozen=True)
class Wording:
    """How reports are written: shares of reports with headings, comparison, hedging; whether names are planted."""

    headings_share: float = 0.85
    comparison_share: float = 0.5
    uncertain_share: float = 0.02
    identifiers: bool = False


def compose(subject: Subject, wording: Wording, rng: np.random.Generator) -> Report:
    """Write one report."""
    with_prior = subject.prior is not None and rng.random() < wording.comparison_share
    findings = _findings(subject, wording, with_prior, rng)
    sentences = [*_frontmatter(subject, with_prior, rng), *findings, *_impression(subject, rng)]
    identifiers: tuple[str, ...] = ()
    header = ""
    if wording.identifiers:
        header, signed, identifiers = _identify(subject, rng)
        sentences.append(Sentence(signed, "impression"))
    return Report(header + _laid_out(sentences, wording, rng), tuple(sentences), identifiers)


def change(lesion: Lesion, prior: Sequence[Lesion]) -> str:
    """Return how a finding compares with the previous exam: new, unchanged, worse or improved."""
    before = next((old for old in prior if (old.kind, old.seed) == (lesion.kind, lesion.seed)), None)
    if before is None:
        return "new"
    now, then = (SEVERITIES.index(each.severity) if each.severity else (each.size_mm or 0) for each in (lesion, before))
    return "worse" if now > then else "improved" if now < then else "unchanged"


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _findings(subject: Subject, wording: Wording, with_prior: bool, rng: np.random.Generator) -> list[Sentence]:
    present = {lesion.observation for lesion in subject.lesions}
    sentences: list[Sentence] = []
    for region in phrases.REGION_ORDERS[int(rng.integers(len(phrases.REGION_ORDERS)))]:
        for index, lesion in enumerate(subject.lesions):
            if phrases.REGIONS[lesion.observation] == region:
                status = change(lesion, subject.prior) if with_prior and subject.prior is not None else "plain"
                text, compares = _positive(lesion, status if rng.random() < 0.8 else "plain", rng)
                statement = Statement(lesion.observation, State.POSITIVE, index)
                sentences.append(Sentence(text, "findings", (statement,), compares))
        sentences += _negatives(region, present, rng)
    if with_prior and subject.prior:
        sentences += _resolved(subject.prior, present, rng)
    absent = [name for name in phrases.UNCERTAIN if name not in present]
    if absent and rng.random() < wording.uncertain_share:
        name = _pick(rng, absent)
        denied = [s for s in sentences if any(statement.observation == name for statement in s.statements)]
        sentences = [sentence for sentence in sentences if sentence not in denied]
        sentences.append(_sentence(_pick(rng, phrases.UNCERTAIN[name]), (name,), State.UNCERTAIN))
    return sentences or [Sentence("The lungs are clear.", "findings")]


def _sentence(text: str, observations: Sequence[str], state: State) -> Sentence:
    return Sentence(text, "findings", tuple(Statement(name, state) for name in observations))


def _positive(lesion: Lesion, status: str, rng: np.random.Generator) -> tuple[str, bool]:
    """Return a sentence that states a finding, and whether it compares; a clause never does."""
    clauses = phrases.CLAUSES.get(lesion.kind, ())
    if clauses and status in ("plain", "unchanged") and rng.random() < 0.7:
        adverb = phrases.ADVERBS[lesion.severity] if lesion.severity else ""
        return _pick(rng, clauses).format(side=lesion.side, adverb=adverb), False
    frames = phrases.FRAMES[status]
    frame, qualifier = frames[int(rng.integers(len(frames)))]
    bare = f"{qualifier} {_phrase(lesion, rng)}".strip()
    article = ("an " if bare[0] in "aeiou" else "a ") if _countable(lesion) else ""
    be, have = ("are", "have") if _plural(lesion) else ("is", "has")
    text = frame.format(a=article + bare, bare=bare, be=be, have=have)
    return text[0].upper() + text[1:], status != "plain"


def _plural(lesion: Lesion) -> bool:
    return lesion.kind == "rib_fracture" or (lesion.kind == "effusion" and lesion.side == "bilateral")


def _countable(lesion: Lesion) -> bool:
    mass_nouns = ("consolidation", "edema", "atelectasis", "cardiomegaly", "wide_mediastinum", "pleural_thickening")
    return lesion.kind not in mass_nouns and not _plural(lesion)


def _phrase(lesion: Lesion, rng: np.random.Generator) -> str:
    """Return the finding's noun phrase without article: degree, side, noun, place."""
    severity, size_mm = lesion.severity or "moderate", lesion.size_mm or 0.0
    template = _pick(
        rng, phrases.NOUN_PHRASES["effusions" if lesion.kind == "effusion" and _plural(lesion) else lesion.kind]
    )
    return template.format(
        size=phrases.SIZE_WORDS[severity],
        degree=_pick(rng, phrases.DEGREE_WORDS[severity]),
        side=lesion.side,
        zone=phrases.RIB_ZONES[lesion.zone or "mid"],
        layer="apical" if lesion.zone == "upper" else "lateral",
        mm=5 * round(size_mm / 5),
        cm=round(size_mm / 10),
        place=_place(lesion, rng) if "{place}" in template else "",
    )


def _place(lesion: Lesion, rng: np.random.Generator) -> str:
    zone = lesion.zone or "mid"
    if lesion.side == "bilateral":
        return _pick(rng, phrases.BOTH_ZONES[zone])
    return _pick(rng, phrases.ZONES[zone]).format(side=lesion.side)


def _negatives(region: str, present: set[str], rng: np.random.Generator) -> list[Sentence]:
    """Deny, in one region, some of what is absent; the widest fitting sentence is the likeliest."""
    fitting = [entry for entry in phrases.NORMAL.get(region, ()) if not present & set(entry[0])]
    if not fitting or rng.random() < (0.55 if region == "bones" else 0.12):
        return []
    observations, wordings = fitting[0 if rng.random() < 0.75 else int(rng.integers(len(fitting)))]
    return [_sentence(_pick(rng, wordings), observations, State.NEGATIVE)]


def _resolved(prior: Sequence[Lesion], present: set[str], rng: np.random.Generator) -> list[Sentence]:
    gone = [old for old in prior if old.observation not in present and old.kind in phrases.NOUNS]
    sentences = []
    for old in gone[:1]:
        noun = phrases.NOUNS[old.kind]
        text = _pick(rng, phrases.RESOLVED).format(noun=noun, Noun=noun.capitalize())
        sentences.append(Sentence(text, "findings", (Statement(old.observation, State.NEGATIVE),), compares=True))
    return sentences


def _impression(subject: Subject, rng: np.random.Generator) -> list[Sentence]:
    if not subject.lesions:
        return [Sentence(_pick(rng, phrases.NORMAL_IMPRESSIONS), "impression")]
    numbered = len(subject.lesions) > 1 and rng.random() < 0.6
    sentences = []
    for index, lesion in enumerate(subject.lesions):
        phrase = _phrase(lesion, rng)
        text = f"{f'{index + 1}. ' if numbered else ''}{phrase[0].upper()}{phrase[1:]}."
        sentences.append(Sentence(text, "impression", (Statement(lesion.observation, State.POSITIVE, index),)))
    return sentences


def _frontmatter(subject: Subject, with_prior: bool, rng: np.random.Generator) -> list[Sentence]:
    present = [lesion.observation for lesion in subject.lesions]
    # Correlated with what is found, never telling: often the complaint is drawn from any other condition.
    related = _pick(rng, present) if present and rng.random() < 0.6 else _pick(rng, list(phrases.COMPLAINTS))
    complaint = _pick(rng, phrases.COMPLAINTS[related])
    indication = complaint[0].upper() + complaint[1:] + "."
    if rng.random() < 0.4:
        indication = f"{subject.age_years} year old {'woman' if subject.sex == 'F' else 'man'} with {complaint}."
    sentences = [Sentence(indication, "indication")]
    if rng.random() < 0.35:
        sentences.append(Sentence(_pick(rng, phrases.HISTORIES).capitalize() + ".", "history"))
    if rng.random() < 0.6:
        sentences.append(Sentence(_pick(rng, phrases.TECHNIQUES["+".join(subject.views)]), "technique"))
    if with_prior:
        sentences.append(
            Sentence(f"Chest radiograph from {subject.days_since} days earlier.", "comparison", compares=True)
        )
    elif rng.random() < 0.5:
        sentences.append(Sentence("None.", "comparison"))
    return sentences


def _laid_out(sentences: Sequence[Sentence], wording: Wording, rng: np.random.Generator) -> str:
    if rng.random() >= wording.headings_share:
        return " ".join(sentence.text for sentence in sentences if sentence.section in ("findings", "impression"))
    style = phrases.HEADING_STYLES[int(rng.integers(len(phrases.HEADING_STYLES)))]
    blocks: dict[str, list[str]] = {}
    for sentence in sentences:
        blocks.setdefault(sentence.section, []).append(sentence.text)
    return "\n\n".join(style[section] + " ".join(texts) for section, texts in blocks.items())


def _identify(subject: Subject, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...]]:
    """Return a header, a signing sentence, and the invented identifiers in them."""
    name = f"{_pick(rng, phrases.FIRST_NAMES[subject.sex])} {_pick(rng, phrases.LAST_NAMES)}"
    number = f"{int(rng.integers(10**7, 10**8))}"
    born = f"{int(rng.integers(1, 13)):02d}/{int(rng.integers(1, 29)):02d}/{2019 - subject.age_years}"
    doctor = _pick(rng, phrases.DOCTORS)
    phone = f"555-{int(rng.integers(100, 999))}-{int(rng.integers(1000, 9999))}"
    header = f"PATIENT: {name}  MRN: {number}  DOB: {born}\n\n"
    signed = f"Discussed with Dr. {doctor} by telephone at {phone}."
    return header, signed, (name, number, born, doctor, phone)
