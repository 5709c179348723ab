"""The words by which a report refers to an earlier exam; read by `data.priors`.

Matched in text of any case at the start of a word; where two kinds match at one place the first listed wins. No
expression has an unbounded repetition, so text of any kind is read in linear time.
"""

import re

MANNER = (
    r"(?:(?:significantly|grossly|essentially|relatively|overall|slightly|mildly|moderately|markedly|minimally|largely"
    r"|substantially|somewhat|again|now|well|not|since|probably|likely|completely|nearly|almost|partially) ){0,2}"
)
"""Adverbs before a word of change, and the space behind them."""

_EXAM = (
    r"(?:examinations?|exams?|stud(?:y|ies)|films?|radiographs?|radiographies|images?|imaging|scans?|x-?rays?"
    r"|x-rays?|ct|cts|cxr|reports?|comparisons?|mammograms?|tomograms?)"
)
_JOINT = r"(?:and|or|of|in|on|to|from|with|is|are|was|were|has|have|for|at|which|that|shows?|as) "
_PRIOR = r"(?:most recent|prior|previous|previously|earlier|last|comparison|preceding|outside|old)"
_AGO = r"(?:\d{1,3}|one|two|three|four|five|six|several|a few|a) (?:hour|day|week|month|year)s? (?:ago|earlier|before)"
_DATE = r"(?:\d{1,2}[/-]\d{1,2}(?:[/-]\d{2,4})?|(?:19|20)\d\d)"
_WHEN = rf"(?: (?:dated|from|of|on|performed|obtained|taken)(?: on)?(?: {_DATE}| {_AGO})| {_DATE}| {_AGO})?"
PRIOR_EXAM = (
    rf"(?:(?:(?:the|a|any|multiple|her|his|this|these) )?{_PRIOR}"
    rf" (?:(?!{_JOINT})[a-z-]{{1,14}} ){{0,3}}{_EXAM}\b{_WHEN}"
    r"|(?:the )?priors?(?= ?$|[.,;)]))"
)
"""An earlier exam as a noun phrase, its date with it; "prior surgery" is none."""

SEEN = (
    r"(?:seen|noted|demonstrated|identified|visuali[sz]ed|described|present|evident|shown|observed|appreciated|reported"
    r"|mentioned|imaged)"
)
FINDING = (
    r"(?:effusions?|pneumothora(?:x|ces)|hydropneumothorax|ed?ema|oedema|atelectas[ei]s|consolidations?|infiltrates?"
    r"|opacit(?:y|ies)|opacification|airspace disease|air space disease|cardiomegaly|nodules?|mass(?:es)?|pneumonia"
    r"|congestion|thickening|fractures?|mediastinal widening|widening of the mediastinum|lesions?|collapse|fluid)"
)
BETWEEN = r"(?:(?!markings|without|with |and |or |no |volume|lung vol)[a-z0-9/-]{1,16} ){0,5}?"
"""What may stand between a word of change and the finding that changed."""
_CHANGED = (
    r"(?:improved|worsened|worsening|improving|progressed|regressed|resolving|enlarging|growing|progressing"
    r"|improves|worsens)"
)
CHANGE_NOUN = (
    r"(?:improvements?|worsening|progression|increase|decrease|resolution|clearing|development|enlargement|reduction"
    r"|regression|removal|placement|appearance|growth|changes?|advancement|repositioning)"
)

_UNCHANGED = (
    r"unchanged|(?<!hemodynamically )stable(?! fracture)|stability of|unaltered|static(?= appearance)"
    r"|(?:no|without|not) (?!acute |degenerative |focal |chronic )(?:[a-z]{1,14} ){0,2}?(?:interval )?"
    r"(?:changes?(?= in| of| from| since|[ ]?$|[.,;)]| compared| when)|changed)"
    rf"|(?:very |quite )?similar (?:in (?:appearance|size|position|extent)|to (?:the )?(?:{_PRIOR})|appearance)"
    r"|(?:has|have) not changed|as before"
)
_INTERVAL = (
    r"in the interval|interval (?!follow|radiograph|imaging|chest|exam|x-?ray|ct\b|study|evaluation|films?)[a-z]{3,14}"
)
_CHANGE = (
    rf"{_CHANGED}|(?:has|have)(?: also)?(?: \w{{1,14}}ly)?(?: also)? (?:increased|decreased|enlarged|grown"
    rf"|progressed|changed)"
    r"|(?:has|have) (?:\w{1,14}ly )?become|(?:increas|decreas)ing(?= in size| [a-z -]{0,40}" + FINDING + ")"
    rf"|(?:in|de)creased(?= (?:in size and |(?:size|amount|extent) of )?{BETWEEN}{FINDING}\b)"
    r"|(?:slightly |much )?(?:larger|smaller|worse|better)(?= than (?:on |in )?(?:the )?(?:prior|previous|last)"
    r"| ?$|[.,;])"
    rf"|{CHANGE_NOUN}(?= (?:in|of) (?:the )?{BETWEEN}{FINDING}\b)"
)
_NEW = (
    r"(?<!and )new(?! york|born)(?=[ ,.])|newly|(?:has|have) (?:since )?(?:developed|appeared)|recurrent"
    r"|interval development"
)
_RESOLVED = (
    r"(?:has|have|is|are|was|were)? ?(?:now |since |completely |nearly |almost ){0,2}(?:resolved|cleared|disappeared)"
    rf"|(?:is|are) no longer {SEEN}|no longer|no residual|previously resolved"
)
_SEEN_BEFORE = (
    r"(?:once )?again|redemonstrat(?:ed|es|ion)(?: of)?|re-demonstrat(?:ed|ion)(?: of)?|persist(?:s|ent|ently"
    r"|ed|ence of)?"
    r"|(?:previously|formerly|priorly)|as (?:seen |noted )?(?:before|previously)|continued?(?! clinical"
    r"| concern| follow)"
    r"(?= (?:to |[a-z]{0,14} ?(?:" + FINDING + r"|clear|elevation|low|lung|bi|left|right|mild|moderate|small)))"
    r"|remain(?:s|ed)?(?! of\b)(?=[ ])|remains?$|still(?= (?:present|seen|noted|visible|evident|there|enlarged))"
    r"|pre-?existing"
)
_PRIOR_EXAM = (
    rf"(?:when |as )?compar(?:ed|ison|ing)(?: is made| was made)?(?: directly)? (?:to|with)(?: {PRIOR_EXAM})?"
    rf"|in comparison|by comparison|comparisons?|compared(?= ?$|[.,;])|(?:since|from|than) {PRIOR_EXAM}|{PRIOR_EXAM}"
    rf"|since {_DATE}|(?:radiograph|film|study|exam|examination|x-ray|ct)s? (?:from|of) {_AGO}|{_AGO}"
    r"|baseline (?:exam|film|study|radiograph)"
)

REFERENCES: dict[str, str] = {
    "prior_exam": _PRIOR_EXAM,
    "unchanged": _UNCHANGED,
    "new": _NEW,
    "resolved": _RESOLVED,
    "changed": f"{_INTERVAL}|{_CHANGE}",
    "seen_before": _SEEN_BEFORE,
}
"""Kind of a reference -> its wordings."""

REFERENCE = re.compile(
    r"\b(?:" + "|".join(f"(?P<{kind}>{words})" for kind, words in REFERENCES.items()) + r")(?![a-z0-9])", re.IGNORECASE
)
FUTURE = re.compile(
    r"\b(?:recommend\w*|suggest(?:ed)? follow|follow-?up|to (?:ensure|document|confirm|assess|exclude|verify)"
    r"|if (?:clinical|patient|symptoms|the patient|desired)"
    r"|should be|could be followed|would be helpful|is advised|history of|may be needed)\b",
    re.IGNORECASE,
)
"""Words of advice or memory: a change after them is one to come, or is told and not compared."""

STRUCTURE = re.compile(
    r"\b(?:heart|cardiac|silhouettes?|mediastin\w{2,4}|cardiomediastin\w{2,4}|contours?|vascul\w{4,6}|vessels"
    r"|lungs?|aorta"
    r"|aeration|hila|hilar|diaphragms?|hemidiaphragms?|bon(?:es|y)|skelet\w{2,4}|spine|chest|appearance"
    r"|examination|exam"
    r"|study|film|radiograph|position\w{0,3}|volumes?|size|configuration|this|these|it|they|findings|structures|thorax"
    r"|osseous|soft tissues|otherwise|overall|expansion|inspiration|pleura|markings|trachea)\b",
    re.IGNORECASE,
)
"""Words for what every chest has: that it is unchanged says nothing of the present."""
