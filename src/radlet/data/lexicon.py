"""The words by which a report mentions the observations, denies them and hedges them; read by `data.observations`.

Every entry is one kind of event and the regular expression of its wordings, matched in lower-cased text at the start of
a word. At one place the first entry that matches wins, so phrases stand before the words they contain ("no change"
before "no"). No expression has a nested or unbounded repetition: text of any kind is read in linear time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEART_SIZE = r"(?: size| silhouette| shadow)?(?! (?:rate|failure|valve|vessel))"
_LUNG_PARTS = r"(?:(?:right|left|upper|middle|lower|lobe|lung|basilar|apical|pulmonary|interstitial) ){0,4}"

MENTIONS: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        r"(?:widened|wide|enlarged) (?:superior |upper )?mediastin(?:um|al (?:contours?|silhouette))",
        r"(?:mediastinal|cardiomediastinal) (?:widening|enlargement)",
        r"(?:widening|enlargement) of the (?:superior |upper )?(?:cardio)?mediastin(?:um|al (?:contours?|silhouette))",
    ),
    "Cardiomegaly": (
        r"(?:mega)?cardiomegaly",
        rf"(?:enlarged|large|enlargement of|increased|prominent|prominence of)(?: the)? (?:heart|cardiac){_HEART_SIZE}",
        r"(?:heart|cardiac|left ventricular|ventricular|cardiac silhouette) enlargement",
    ),
    "Lung Lesion": (
        r"(?:\d+(?:\.\d+)? ?(?:mm|cm) )?(?:pulmonary |lung )?(?:mass(?:es)?|nodules?)\b(?! effect)",
        rf"nodular {_LUNG_PARTS}(?:density|densities|opacity|opacities|opacifications?|lesions?|foc(?:us|i))",
        r"mass ?-?like (?:density|opacity|opacities|lesion|consolidation)",
        r"(?:pulmonary|lung|parenchymal|cavitary|cavitating) lesions?",
        r"neoplasms?\b|malignan(?:cy|cies)\b|carcinomas?\b|metasta(?:sis|ses|tic)\b|tumou?rs?\b|lung cancer",
    ),
    "Edema": (
        r"(?:pulmonary |interstitial |alveolar |lung ){0,3}o?edema",
        r"(?:congestive )?(?:heart|cardiac) failure|chf\b",
        r"(?:pulmonary |central )?(?:vascular|venous) congestion|pulmonary congestion",
        r"vascular indistinctness",
    ),
    "Consolidation": (r"consolidat(?:ions?|ing|ive(?: process| change| opacity| opacities| airspace disease)?|ed)\b",),
    "Pneumonia": (r"(?:broncho)?pneumonias?\b|pneumonitis\b|infectious (?:process|etiology|disease)|infections?\b",),
    "Lung Opacity": (
        r"(?:opacit(?:y|ies)|opacifications?|opacified)\b",
        r"air ?-?space (?:process|disease)|infiltrates?\b|infiltrations?\b|infiltrative process",
        r"interstitial (?:markings?|patterns?|prominence|changes?|thickening|lung disease|disease|infiltrates?)",
        r"reticul(?:ar|onodular) (?:markings?|patterns?|densit(?:y|ies))|reticulation",
        r"(?:parenchymal|pulmonary|lung) scar(?:ring|s)?\b",
        r"(?:hazy|patchy|streaky|ill-defined|basilar|airspace|pulmonary) densit(?:y|ies)",
    ),
    "Atelectasis": (
        r"atelect[ai]\w{0,8}",
        r"(?:lobar|lobe|lung|pulmonary) collapse|collapse\b",
        r"collapsed (?:\w{1,12} ){0,3}?(?:lungs?|lobes?)",
        r"(?:lungs?|lobes?) (?:is |are |has |have |remains? )?(?:\w{1,12} )?collapsed",
    ),
    "Pneumothorax": (r"(?:hydro|hemo)?pneumothor(?:ax|aces|acies)(?:es)?\b|ptx\b|pleural air\b",),
    "Pleural Effusion": (
        r"(?:pleural |parapneumonic |subpulmonic ){0,2}effusions?\b",
        r"pleural (?:fluid|collections?)|(?:hydro|hemo|haemo)thorax\b",
        r"(?:fluid|effusion) in the (?:pleural space|(?:major|minor) fissure)",
    ),
    "Pleural Other": (
        r"pleural (?:parenchymal )?(?:thickening|plaques?|scar(?:ring|s)?|calcifications?|disease|reaction)",
        r"pleuro-?(?:parenchymal|pericardial) scar(?:ring|s)?|fibrothorax|pleurisy",
    ),
    "Fracture": (r"fractur(?:es?|ed|ing)\b",),
    "Support Devices": (
        r"(?:endotracheal|tracheostomy|enteric|nasogastric|orogastric|feeding|chest|ng|og|et|dobhoff|gastric) tubes?\b",
        r"tubes?\b|tubing\b|catheters?\b|pacemakers?\b|pacer\b|icd\b|aicd\b|defibrillators?\b|generators?\b|ett\b",
        r"(?:central venous|central|picc|port|subclavian|jugular|ij|venous|arterial|dialysis|swan-ganz) lines?\b",
        r"picc\b|pic\b|port-?a-?cath\b|mediport\b|infusion port|swan-ganz|pigtail\b|drains?\b|leads?\b|tracheostomy",
        r"(?:coronary |vascular )?stents?\b|plates?(?: and screws?)?\b|screws?\b|arthroplast(?:y|ies)\b|cannulas?\b",
        r"(?:bio)?(?:prosthetic|mechanical|artificial) (?:(?:aortic|mitral|tricuspid|heart|cardiac) )?valves?",
        r"(?:support|monitoring|cardiac|implanted|assist) (?:devices?|apparatus|equipment)|lines and tubes",
        r"support lines?|chest port\b|(?:vp|ventriculoperitoneal) shunt|loop recorder",
        r"valve (?:replacement|prosthesis)|(?:orthopedic|spinal|fusion|surgical|fixation) hardware|hardware\b",
        r"stimulator|balloon pump|electrodes?\b",
    ),
}
"""Wordings of each observation. Lung Lesion stands before Lung Opacity because a nodular opacity is a nodule."""

STRUCTURES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("Cardiomegaly", "Enlarged Cardiomediastinum"): (
        r"cardio-? ?mediastin(?:um|al (?:silhouettes?|contours?|structures?|size))",
        r"(?:heart|cardiac)(?: size| silhouettes?)? (?:and|/) (?:the )?(?:superior )?mediastin(?:um|al \w{1,12})",
        r"mediastin(?:al|um) and (?:cardiac|heart)(?: silhouettes?| contours?| size)?",
    ),
    ("Cardiomegaly",): (
        r"heart(?: size| silhouette| shadow| contours?)?(?! (?:borders?|valves?|disease|transplant|rate|failure))",
        r"(?:cardiac|cardiopericardial) (?:silhouettes?|size|contours?|shadow|structures)",
    ),
    ("Enlarged Cardiomediastinum",): (
        r"(?:superior |upper )?mediastin(?:um|al (?:silhouettes?|contours?|structures?|shadow|width|size|borders?))",
    ),
    ("Fracture",): (r"(?:bony|osseous|skeletal) (?:structures?|thorax)|bones|ribs",),
}
"""Parts of the body that are mentions only together with a word for normal or enlarged, and of what."""

_SEEN = r"(?:seen|identified|present|appreciated|visualized|demonstrated|evident|noted|detected|observed|found|shown)"
_CHANGE = r"(?:changes?|increase|decrease|improvement|progression|worsening|resolution|clearing)"
_CHANGED = r"(?:changed|improved|increased|decreased|progressed|worsened|resolved|cleared|evaluated|well seen)"
_BE = r"(?:is|are|was|were|has|have|had|has been|have been)"

_NEARLY = r"(?:almost|nearly|near|partial|partially|incomplete|incompletely|mostly)"
_PERHAPS = r"(?:excluded|ruled out|dismissed|possible|suspected|questioned|considered)"

_AFTER_RESOLVED = r"(?:and|or|since|in|on|with|from|after|but|now|as|at|by|compared|when)\b"

NO_CHANGE = (rf"(?:no|without) (?:\w{{1,14}} ){{0,2}}?(?:interval )?{_CHANGE}(?: in| of)?(?: the)?",)
"""Denies a change of what follows, and with it states all of what follows."""
NEUTRAL = (
    rf"(?:{_BE} )?not (?:\w{{1,14}} ){{0,2}}?{_CHANGED}",
    rf"(?:{_BE} )?not (?:previously|formerly) {_SEEN}",
    rf"(?:{_BE} )?not (?:\w{{1,12}} )?{_SEEN} (?:on|in) (?:the |a |any )?(?:prior|previous|earlier|comparison|last)",
    r"not only|no doubt|no (?:prior|previous|comparison)s?",
    rf"(?:{_BE} )?{_NEARLY}(?: \w{{1,12}})? (?:resolved|resolution(?: of)?|cleared)",
    r"(?:strongly|highly|most) suggestive (?:of|for)|granulomatous infections?",
    r"(?:prior|previous|remote|old) (?:\w{1,14} ){0,2}?(?:infections?|pneumonias?)",
    r"non[- ]\w{1,14}|(?:vertebral|vertebral body|tracheal) collapse|(?:end|growth) ?-?plates?",
    r"nipple shadows?|test tubes?|lead aprons?|pericardial (?:effusions?|fluid)|joint effusions?",
    r"(?:soft tissue|subcutaneous|chest wall|breast|peripheral) (?:edema|infections?)",
)
"""Wordings that deny a change, not a finding, and look-alikes of mentions: read past."""

HEDGES = (
    r"(?:can ?not|could not|can't|not) (?:\w{1,12} )?(?:exclude|rule out)(?: (?:the )?(?:possibility|presence) of)?",
    r"(?:may|might|could|would) (?:\w{1,12} )?(?:represent|reflect|be|indicate|suggest|relate|have)",
    r"possib(?:le|ly|ility of)|question(?:able|ed| of)?|suspicious for|suspected|suspicion (?:of|for)|equivocal",
    r"suggest(?:s|ing|ive|ed)?(?: of)?|concern(?:ing)? (?:for|of)|worrisome for|suspect|questionably",
    r"perhaps|potential(?:ly)?|may|might|could|consider|doubt(?:ful)?|whether|uncertain|unclear",
    r"low likelihood of|more likely than|favou?red over|less likely",
    r"over(?= (?:\w{1,12} )?(?:pneumonia|infection|edema)\b)",
)
DIFFERENTIALS = (r"differential (?:\w{1,14} ){0,2}?(?:includes?|of|is)|differential diagnos[ie]s",)
"""All that follows in the clause is a guess, however the list is written."""
VERSUS = (r"versus|vs\.?",)
AFTER_HEDGES = (
    rf"(?:can ?not|could not|not|can't) (?:be )?(?:\w{{1,12}} )?{_PERHAPS}",
    rf"(?:is|are|was|were) (?:also )?(?:{_PERHAPS}|in the differential|less likely|doubtful)",
    r"(?:is|are|remains|would be|could be) (?:also )?(?:a|another) (?:\w{1,14} )?(?:possibility|consideration)",
    r"(?:should|can|would) (?:also )?be (?:considered|suspected)|if any|less likely(?= ?$|,| than)(?: than)?",
    r"in the (?:appropriate|proper|right|correct|given) clinical (?:setting|context|scenario)",
    r"(?:suspected|questioned|possible|not excluded)(?= ?$|,)|(?:is |are )?difficult to (?:\w{1,12} )?exclude",
    r"(?:may|might|could) be (?:present|considered)|(?:is|are) not (?:\w{1,12} )?excluded",
)
NEGATIONS = (
    r"no (?:\w{1,14} ){0,2}?(?:evidence|signs?|findings?|indication|suggestion) (?:of|for|to suggest)",
    r"(?:negative|absence|lack) (?:for|of)|(?:free|clear|cleared|devoid) of|(?:interval )?(?:resolution|removal) of",
    r"fail(?:s|ed)? to (?:show|demonstrate|reveal)|(?:highly |very )?unlikely (?:to \w{1,12}|due to|related to)",
    # "Resolved edema" denies what follows; "edema, resolved since" what stands before.
    rf"resolved(?= (?!{_AFTER_RESOLVED})[a-z])",
    r"rather than|as opposed to|instead of|without|neither|nor|not|no|never|denies|lacks?",
)
AFTER_NEGATIONS = (
    rf"{_BE} (?:now |since |completely )?(?:resolved|cleared|disappeared|absent|excluded|ruled out|removed)",
    rf"(?:{_BE} )?(?:no longer|not)(?: \w{{1,12}})?(?: \w{{1,12}})? {_SEEN}",
    rf"(?:{_BE} |felt to be )?(?:highly |very |thought )?unlikely(?! (?:to|due|related))",
    rf"(?:{_BE} )?not (?:felt to be |thought to be )?likely(?= ?$|,)|(?:is|are|has|have) gone",
    rf"(?:{_BE} )?no longer|absent|removed|removal(?! of)|resolved(?= ?$|[,;]| {_AFTER_RESOLVED})",
    r"(?:none|no|nil|negative|no evidence)(?= ?$)",
)
QUESTIONS = (
    r"history of|h/o|evaluate for|evaluation (?:of|for)|assess(?:ment)? for|rule out|r/o|status post|s/p|to exclude",
    r"(?:history|indications?|reason for (?:the )?(?:exam|examination|study)) ?:|(?:please )?exclude",
    r"clinical(?:ly)? (?:concern|suspicion|correlation)(?: \w{1,12})? (?:for|of)|risk of|treated for|prior to",
    r"(?:screening|follow-?up|monitor|correlate(?: clinically)?) for|sensitive (?:in|for|to)",
)
"""What follows is asked or remembered, not seen."""
STOPS = (
    r"but|however|although|though|except|otherwise|aside from|apart from|other than|which|who|yet|because|while",
    r"there (?:is|are|has|have|remains?|was|were)",
)

BOTH = (
    r"(?:left|right) (?:is )?(?:\w{1,10} )?(?:greater|larger|more|worse)(?: \w{1,10})? than (?:the )?(?:left|right)",
    r"(?:left|right)(?:-sided)? (?:and|or) (?:the )?(?:left|right)",
    r"(?:left|right) ?[>/] ?(?:left|right)",
    r"bilateral(?:ly)?|both|bibasilar|bibasal|biapical",
)
SIDES = {"both": BOTH, "left": (r"left(?:-sided)?|lt|lingular?",), "right": (r"right(?:-sided)?|rt",)}
SEVERITIES = {
    "moderate": (r"(?:mild|small)(?:ly)?[- ]to[- ]moderate(?:ly)?|moderate(?:ly)?(?:[- ]sized)?",),
    "severe": (
        r"(?:moderate(?:ly)?|mild|small)[- ]to[- ](?:large|severe(?:ly)?|marked(?:ly)?)",
        r"large|severe(?:ly)?|marked(?:ly)?|massive(?:ly)?|extensive|significantly|huge",
    ),
    "mild": (r"small|tiny|trace|minimal(?:ly)?|mild(?:ly)?|slight(?:ly)?|subtle|minor|faint",),
}
NORMAL = (
    r"(?:at |on )?(?:the )?(?:upper|high)(?: limits?| range)?(?: of)?(?: the)? normal(?: range| limits)?|top[- ]normal",
    r"(?:with)?in (?:the )?(?:upper )?(?:normal )?(?:limits|range)(?: (?:of )?normal)?",
    r"normal(?:ly)?|unremarkable|intact",
)
BORDERLINE = (r"borderline(?: in size)?(?! enlarge)",)
ABNORMAL = (
    r"(?:borderline )?enlarge(?:d|ment)|widen(?:ed|ing)|prominent|increased in size",
    r"large(?= ?$|[,;)]| (?:and|but|with|for|in size)\b)",
)
AFFIRMED = (r"stable|unchanged|new|again|persistent|persists?|remains?|chronic|(?:is|are) (?:present|seen|noted)",)

OTHERS = (
    r"(?:scar(?:ring|s)?|fibrosis|granulomas?|crowding|artifacts?|fat|contusions?|hemorrhage|aspiration|thickening)\b",
)
"""Alternatives that are no observations: "opacity, scarring or atelectasis" leaves atelectasis stated."""

PUNCTUATION = {",": "comma", ";": "stop", ":": "colon", "(": "comma", ")": "comma", "?": "hedge"}


@dataclass(frozen=True)
class Grammar:
    """What a sentence is read by; a kind is the name of a group of `event`.

    Attributes:
        event: Finds the next event of a lower-cased sentence; the name of the group that matched is its kind.
        mentions: Kind of event -> what it mentions.
        structures: Kind of event -> what the structure tells of together with a word for normal or enlarged.
        apart: Mentions that lend a side to their own kind alone, with the name of that kind.
    """

    event: re.Pattern[str]
    mentions: Mapping[str, str]
    structures: Mapping[str, tuple[str, ...]]
    apart: Mapping[str, str]


def build_grammar(mentions: Mapping[str, tuple[str, ...]], apart: Mapping[str, str], num_first: int = 0) -> Grammar:
    """Return the grammar of a vocabulary: everything of this file around the mentions given.

    Args:
        mentions: What is mentioned -> its wordings; where several match, the first listed wins.
        apart: See `Grammar`.
        num_first: How many of the mentions stand before the words that are read past.
    """
    kinds = {f"mention{index}": name for index, name in enumerate(mentions)}
    words = list(zip(kinds, mentions.values(), strict=True))
    structures = {f"structure{index}": names for index, names in enumerate(STRUCTURES)}
    all_kinds: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("no_change", NO_CHANGE),
        *words[:num_first],
        ("neutral", NEUTRAL),
        ("after_hedge", AFTER_HEDGES),
        ("differential", DIFFERENTIALS),
        ("hedge", HEDGES),
        ("versus", VERSUS),
        ("question", QUESTIONS),
        ("after_negation", AFTER_NEGATIONS),
        ("negation", NEGATIONS),
        *words[num_first:],
        *zip(structures, STRUCTURES.values(), strict=True),
        ("other", OTHERS),
        ("normal", NORMAL),
        ("borderline", BORDERLINE),
        ("abnormal", ABNORMAL),
        *SIDES.items(),
        *SEVERITIES.items(),
        ("stop", STOPS),
        ("with", ("with",)),
        ("and", (r"and/or|and|as well as",)),
        ("or", ("or",)),
        ("affirmed", AFFIRMED),
        ("place", (r"in|at|on|of|within|along|over|involving|near|from",)),
    )
    groups = "|".join(f"(?P<{kind}>{'|'.join(words)})" for kind, words in all_kinds)
    return Grammar(re.compile(rf"\b(?:{groups})(?![a-z0-9])|[,;:()?]"), kinds, structures, apart)


OBSERVATION_GRAMMAR = build_grammar(
    MENTIONS, {name: name for name in ("Cardiomegaly", "Enlarged Cardiomediastinum", "Support Devices")}
)
"""Reads the 14 observations."""
