"""Read what a text states, so that two texts can be compared: findings with state, side and severity.

The 14 observations are read by `radlet.data.observations`. Findings beyond them have a short list of their own here;
their state and side are read by the same rules, with the name of an observation put in their place.
"""

import re
from collections import Counter
from dataclasses import dataclass

from radlet.core.records import Side, State
from radlet.data.lexicon import SEVERITIES, SIDES
from radlet.data.observations import find_mentions

_OTHER_FINDINGS: dict[str, str] = {
    "emphysema": r"emphysema(?:tous)?|bullae?|bullous",
    "hyperinflation": r"hyper-?(?:inflat|expan|aerat)\w{2,4}|over-?inflat\w{2,4}",
    "obstructive disease": r"copd|chronic obstructive",
    "fibrosis": r"fibro(?:sis|tic)",
    "scar": r"scars?|scarring|cicatri\w+",
    "hernia": r"herniat?(?:ion)?s?|hernias",
    "granuloma": r"granulom\w+",
    "calcification": r"calcif\w+",
    "adenopathy": r"(?:lymph)?adenopath\w+|enlarged (?:lymph )?nodes?",
    "scoliosis": r"scolio\w+|kypho\w+",
    "degeneration": r"degenerat\w+|spondyl\w+|osteophyt\w+|arthrit\w+|arthros\w+|spurring",
    "tortuosity": r"tortuo\w+|ectas\w+|ectatic|unfolded",
    "aneurysm": r"aneurysm\w*|dissection",
    "atherosclerosis": r"athero\w+",
    "tuberculosis": r"tubercul\w+",
    "bronchiectasis": r"bronchiect\w+|bronchitis|peribronchial \w+",
    "free air": r"free (?:intraperitoneal |subdiaphragmatic )?air|pneumoperitoneum",
    "pneumomediastinum": r"pneumomediastinum",
    "subcutaneous air": r"subcutaneous (?:air|gas)",
    "elevated diaphragm": r"(?:elevat\w+|eventrat\w+)",
    "osteopenia": r"osteop(?:enia|enic|orosis|orotic)|deminerali[sz]\w+",
    "aspiration": r"aspirat\w+",
    "hemorrhage": r"ha?emorrhag\w+|contusions?|hematomas?",
    "cavity": r"cavit\w+",
    "surgery": r"sternotomy|surgical|postsurgical|postoperative|cabg|clips?|sutures?|wires?|resection|\w+ectomy",
    "volume loss": r"volume loss|(?:low|decreased|reduced) (?:lung )?volumes?|hypo-?(?:inflat|expan|aerat)\w{2,4}",
    "shift": r"(?:mediastinal |tracheal )?(?:shift|deviat)\w*",
    "blunting": r"blunt\w+",
    "hilar change": r"hilar (?:prominence|enlargement|fullness)|prominen\w+ (?:of the )?hil\w+",
    "vascular change": r"vascular(?:ity)? (?:redistribution|prominence|engorgement)|cephali[sz]ation|engorge\w+",
    "pericardial effusion": r"pericardial (?:effusions?|fluid)",
    "foreign body": r"foreign bod(?:y|ies)",
    "dislocation": r"(?:dis|sub)locat\w+|subluxation",
    "deformity": r"deformit\w+|deformed",
    "air bronchogram": r"air bronchograms?",
    "nipple": r"nipple",
}
_OTHER = re.compile(
    r"\b(?:"
    + "|".join(f"(?P<f{number}>{words})" for number, words in enumerate(_OTHER_FINDINGS.values()))
    + r")(?![a-z])"
)
_NAMES = tuple(_OTHER_FINDINGS)
_STAND_IN, _STAND_IN_WORD = "Fracture", "fracture"
_SENTENCE = re.compile(r"(?:[^.!?\n]|\.(?=\d))+")
_NEGATION = re.compile(
    r"\b(?:no|not|non|without|never|none|neither|absent|absence|negative|denies|cannot|free of|resol(?:ved|ution)"
    r"|cleared|unlikely|lack|excluded?|(?:is|are|was|were|do|does)n't)\b"
)
_HEDGE = re.compile(
    r"\b(?:may|might|could|possibl[ey]|probabl[ey]|likely|suggest\w*|suspect\w*|suspicious|question\w*|perhaps|versus|vs"
    r"|appears? to|concern\w*|consider\w*|represent\w*|compatible|consistent)\b"
)
# Each word for itself: "left and left" must not count as the "left and right" that it was made from.
_SIDE_WORDS = {**SIDES, "both": (r"bilateral(?:ly)?|both|bibasilar|bibasal|biapical",)}
_WORDS_OF = {
    kind: re.compile(rf"\b(?:{'|'.join(words)})(?![a-z])") for kind, words in {**_SIDE_WORDS, **SEVERITIES}.items()
}


@dataclass(frozen=True)
class Statement:
    """One thing that a text says."""

    finding: str
    state: State
    side: Side | None
    severity: str | None


def find_statements(text: str) -> set[Statement]:
    """Return what a text states of the 14 observations and of the findings listed here."""
    mentions = find_mentions(text)
    stated = {Statement(each.observation, each.state, each.side, each.severity) for each in mentions}
    taken = [(mention.start, mention.end) for mention in mentions]
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose small form is longer; offsets would not hold
        return stated
    for sentence in _SENTENCE.finditer(lowered):
        for match in _OTHER.finditer(sentence.group()):
            start, end = match.start() + sentence.start(), match.end() + sentence.start()
            if not any(start < other_end and other_start < end for other_start, other_end in taken):
                stated |= _other(sentence.group(), match)
    return stated


def _other(sentence: str, match: re.Match[str]) -> set[Statement]:
    """Read a finding that is no observation as if an observation stood there."""
    name = _NAMES[int(str(match.lastgroup)[1:])]
    changed = sentence[: match.start()] + _STAND_IN_WORD + sentence[match.end() :]
    read = [each for each in find_mentions(changed) if each.start == match.start() and each.observation == _STAND_IN]
    return {Statement(name, each.state, each.side, each.severity) for each in read}


def count_sides(text: str) -> Counter[str]:
    """Count the words for left, right and both sides."""
    return _count(text, _SIDE_WORDS)


def count_severities(text: str) -> Counter[str]:
    """Count the words of severity by degree."""
    return _count(text, SEVERITIES)


def count_negations(text: str) -> int:
    """Count the words that deny."""
    return len(_NEGATION.findall(text.lower()))


def count_hedges(text: str) -> int:
    """Count the words that leave open."""
    return len(_HEDGE.findall(text.lower()))


def _count(text: str, kinds: dict[str, tuple[str, ...]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    rest = text.lower()
    for kind in kinds:  # in the order of the lexicon, where phrases stand before the words they contain
        counts[kind] = len(_WORDS_OF[kind].findall(rest))
        rest = _WORDS_OF[kind].sub(" ", rest)
    return +counts
