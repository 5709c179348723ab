"""Invented sentences with identifiers in them, by kind, to measure and test de-identification.

There are two parts that share neither names nor wordings: rules are tuned on "tuned" and judged on "held".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Part = Literal["tuned", "held"]


@dataclass(frozen=True)
class PlantedSentence:
    """One sentence; none of `secrets` may be left of it."""

    kind: str
    text: str
    secrets: tuple[str, ...]


_GIVEN = {
    "tuned": ("Mirela", "Jonathan", "Wei", "Aisha", "Patrick", "Svetlana", "Diego", "Nkechi", "Thomas", "Yuki"),
    "held": ("Hortensia", "Benedict", "Mei", "Fatima", "Declan", "Ludmila", "Rodrigo", "Adaeze", "Gregory", "Haruto"),
}
_FAMILY = {
    "tuned": ("Ashdown", "Petrovic", "Okafor", "O'Brien", "Lindqvist", "Nakamura", "Ramirez", "Smith-Jones", "Patel"),
    "held": (
        "Wimpole",
        "Kowalski",
        "Adeyemi",
        "O'Sullivan",
        "Thorvaldsen",
        "Watanabe",
        "Castillo",
        "Reed-Hall",
        "Gupta",
    ),
}
_ACCENTED = {
    "tuned": ("Müller", "García", "Bjørn Sørensen", "Zoë Lefèvre", "Łukasz Nowak"),
    "held": ("Schäfer", "Muñoz", "Åse Håkansson", "Noël Béranger", "Jiří Dvořák"),
}
_OTHER_SCRIPT = {
    "tuned": ("Иван Петров", "王小明", "محمد علي", "Γιώργος Παππάς"),
    "held": ("Ольга Смирнова", "李秀英", "فاطمة حسن", "Ελένη Νικολάου"),
}
_INSTITUTIONS = {
    "tuned": ("Mercy General Hospital", "St. Luke's Medical Center", "Riverside Clinic", "Lakeview Imaging Center"),
    "held": (
        "Saint Brigid Infirmary",
        "Northgate University Hospital",
        "Harrow Valley Health System",
        "Elm Park Clinic",
    ),
}
_STREETS = {
    "tuned": ("221 Baker Street", "1408 Oak Avenue, Apt 3", "77 Mill Rd."),
    "held": ("95 Harrow Lane", "3310 West Cedar Boulevard", "12B Quay Dr., Suite 400"),
}
_TEMPLATES: dict[str, dict[Part, tuple[str, ...]]] = {
    "name with a title": {
        "tuned": ("Findings discussed with Dr. {family} in clinic.", "Mrs. {family} could not stand."),
        "held": ("Prof. {family} reviewed the film.", "Mr. {family} was imaged in bed.", "Seen with Doctor {name}."),
    },
    "name with a label": {
        "tuned": ("Patient: {name}.", "Dictated by: {name}, MD.", "Name: {family}, {given}"),
        "held": ("PATIENT NAME: {name}", "Referring physician: {name}.", "Electronically signed by {name}, D.O."),
    },
    "name alone": {
        "tuned": ("{name} was examined in the emergency room.", "Please send a copy to {name}.", "{name}"),
        "held": ("{name} has a cough.", "Images were shown to {name} at the conference.", "Interval CT per {name}."),
    },
    "NAME ALONE IN CAPITALS": {
        "tuned": ("{NAME} WAS EXAMINED TODAY.", "PLEASE CALL {NAME} WITH THE RESULT."),
        "held": ("{NAME} HAS A COUGH.", "THE IMAGES WERE SHOWN TO {NAME}."),
    },
    "name alone in lower case": {
        "tuned": ("{lower} was examined today.", "please call {lower} with the result."),
        "held": ("{lower} has a cough.", "the images were shown to {lower}."),
    },
    "name with accents": {
        "tuned": ("Seen by Dr. {accented} today.", "{accented} was notified.", "Discussed with {accented}."),
        "held": ("Paged Dr. {accented}.", "{accented} is rotated to the left.", "Images shown to {accented}."),
    },
    "name in another script": {
        "tuned": ("Patient: {script}.", "{script} was examined."),
        "held": ("Name: {script}", "Images were shown to {script}."),
    },
    "date": {
        "tuned": (
            "Comparison: {m}/{d}/{y}.", "Stable since {month} {d}, {y}.", "Film of {y}-{mm}-{dd}.",
            "CT from {d} {month} {y}.", "Since {d}-{mon}-{y} no change.",
        ),
        "held": (
            "Compared with {mm}.{dd}.{y}.", "Seen on {mon} {d}th, {y}.", "Prior film {mm}/{dd}/{yy}.",
            "DOB {m}-{d}-{y}.",
            "As on the {d}th of {month} {y}.", "Scan of {y}{mm}{dd}.", "In {month} {y} this was larger.",
        ),
    },
    "phone": {
        "tuned": ("Call 555-{p3}-{p4}.", "Phone: (555) {p3}-{p4}.", "Reached at +1 555 {p3} {p4}."),
        "held": ("Tel. 555.{p3}.{p4}.", "Telephoned to 1-555-{p3}-{p4}.", "Pager {p4}5.", "On +44 20 7946 {p4}."),
    },
    "fax": {"tuned": ("Fax: 555-{p3}-{p4}.",), "held": ("Faxed to (555) {p3} {p4}.", "FAX 555{p3}{p4}.")},
    "record number": {
        "tuned": ("MRN: {n8}.", "Medical record number {n8}.", "MRN{n7}."),
        "held": ("MR# {n7}.", "MRN is {n8}.", "Hospital number: {n8}.", "Patient ID {n7}."),
    },
    "accession number": {
        "tuned": ("Accession number: {n8}.", "ACC# {n7}."),
        "held": ("Accession: A{n8}.", "Acc. no. {n7}.", "Order number {n8}."),
    },
    "address": {
        "tuned": ("Lives at {street}.", "Address: {street}, Springfield, IL 62704."),
        "held": ("Home address {street}.", "Resides at {street}, Dunmore, PA 18512."),
    },
    "e-mail": {
        "tuned": ("Mail {mail}@example.org.",),
        "held": ("Results to {mail}@radiology.example.com.", "Contact: {mail}@example.co.uk"),
    },
    "URL": {
        "tuned": ("See https://portal.example.org/{n7}.",),
        "held": ("Images at www.example.com/view/{n7}.", "Report: http://pacs.example.net/?id={n8}"),
    },
    "institution": {
        "tuned": ("Transferred from {institution}.", "Films of {institution} were reviewed."),
        "held": ("Outside study at {institution}.", "{institution} sent the patient for a radiograph."),
    },
    "age above 89": {
        "tuned": ("{old}-year-old woman.", "{old} yo man with cough."),
        "held": ("{old} y/o female.", "Age: {old}.", "Man aged {old} with a cough.", "{old} year old patient."),
    },
}  # fmt: skip
KINDS = tuple(_TEMPLATES)

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHOWN = {
    "name": ("given", "family"), "NAME": ("GIVEN", "FAMILY"), "lower": ("low_given", "low_family"), "street": ("road",),
    "mail": ("mail",), "accented": ("accented",), "script": ("script",), "institution": ("institution",),
}  # fmt: skip
"""Slots whose secret is not the filled text as a whole."""


def planted_sentences(part: Part, num: int, seed: int) -> Iterator[PlantedSentence]:
    """Yield `num` sentences of each kind."""
    rng = np.random.default_rng([seed, len(part)])
    for kind, templates in _TEMPLATES.items():
        for index in range(num):
            template = templates[part][index % len(templates[part])]
            values = _values(part, rng)
            yield PlantedSentence(kind, template.format(**values), _secrets(template, values))


def _values(part: Part, rng: np.random.Generator) -> dict[str, str]:
    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    given, family = pick(_GIVEN[part]), pick(_FAMILY[part])
    day, month, year = int(rng.integers(10, 29)), int(rng.integers(1, 13)), int(rng.integers(1990, 2024))
    n8, street = str(rng.integers(10**7, 10**8)), pick(_STREETS[part])
    return {
        "given": given, "family": family, "name": f"{given} {family}", "GIVEN": given.upper(),
        "FAMILY": family.upper(), "NAME": f"{given} {family}".upper(), "low_given": given.lower(),
        "low_family": family.lower(), "lower": f"{given} {family}".lower(), "accented": pick(_ACCENTED[part]),
        "script": pick(_OTHER_SCRIPT[part]), "institution": pick(_INSTITUTIONS[part]), "street": street,
        "road": street.split(",")[0], "mail": f"{given[0]}.{family}".lower().replace("'", ""),
        "d": str(day), "dd": f"{day:02d}", "m": str(month), "mm": f"{month:02d}", "y": str(year),
        "yy": f"{year % 100:02d}", "month": _MONTHS[month - 1], "mon": _MONTHS[month - 1][:3],
        "p3": str(rng.integers(200, 1000)), "p4": str(rng.integers(1000, 10000)), "n7": n8[:7], "n8": n8,
        "old": str(rng.integers(91, 104)),
    }  # fmt: skip


def _secrets(template: str, values: dict[str, str]) -> tuple[str, ...]:
    """Return what may not be left: for dates the year and the month, for numbers their longest part."""
    slots = [slot for slot in values if f"{{{slot}}}" in template]
    if "{y}{mm}{dd}" in template:
        return (values["y"] + values["mm"] + values["dd"],)
    dates = [slot for slot in slots if slot in ("y", "month", "mon")] or [slot for slot in slots if slot == "yy"]
    others = [shown for slot in slots if slot not in ("d", "dd", "m", "mm", "p3", *dates)
              for shown in _SHOWN.get(slot, (slot,))]  # fmt: skip
    if "{yy}" in template:
        return (f"{values['mm']}/{values['dd']}",)
    return tuple(values[slot] for slot in dict.fromkeys([*dates, *others]))
