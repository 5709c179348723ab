"""The words for what a chest report states beyond the 14 observations, and for place, size and position.

Read by `data.findings`, on top of `data.lexicon`: a specific wording stands before the observation that contains it.
"""

import re

from radlet.core.records import Zone
from radlet.core.statements import CONCEPTS, Change, Position
from radlet.data.lexicon import MENTIONS, build_grammar

_MEASURE = r"(?:\d+(?:\.\d+)? ?(?:mm|cm) )?"
_NODES = r"(?:lymph nodes?|nodes|hil(?:a|um|ar contours?))"

FIRST: dict[str, tuple[str, ...]] = {
    "subcutaneous air": (
        r"(?:subcutaneous|soft tissue|chest wall) (?:emphysema|air|gas)",
        r"(?:air|gas) in the (?:\w{1,12} ){0,3}?soft tissues",
    ),
    "pericardial effusion": (r"pericardial (?:effusions?|fluid)",),
    "old fracture": (
        r"(?:old|healed|remote|chronic|prior)(?:,? healed)? (?:\w{1,12} ){0,4}?fractures?(?: deformit(?:y|ies))?",
        r"posttraumatic deformit(?:y|ies)",
    ),
    "granuloma": (
        r"(?:calcified )?granulomas?(?:tous (?:disease|changes?|calcifications?))?|granulomata",
        r"calcified (?:\w{1,12} ){0,3}?(?:pulmonary |lung )?nodules?",
    ),
}
"""What stands before the look-alikes that the labeller reads past."""

SPECIFIC: dict[str, tuple[str, ...]] = {
    "tension pneumothorax": (r"tension (?:hydro)?pneumothorax",),
    "hydropneumothorax": (r"(?:hydro|hemo)pneumothora(?:x|ces)",),
    "compression fracture": (
        r"(?:vertebral |vertebral body |thoracic |spinal )?(?:compression|wedge) (?:fractures?|deformit(?:y|ies))",
        r"vertebral (?:body )?fractures?|(?:vertebral body )?(?:height loss|wedging)",
    ),
    "rib fracture": (
        r"(?:\w{1,10} ){0,1}?ribs? fractures?",
        r"fractures? of (?:the )?(?:\w{1,12} ){0,4}?ribs?",
        r"fractured (?:\w{1,12} ){0,2}?ribs?",
    ),
    "aneurysm": (
        r"(?:thoracic )?(?:aortic |aorta )?(?:aneurysms?|aneurysmal(?: dilat(?:ion|ation))?)",
        r"aneurysmal (?:\w{1,12} ){0,2}?aorta",
    ),
    "dissection": (r"(?:aortic )?dissection",),
    "mediastinal mass": (
        r"(?:(?:anterior|middle|posterior|superior) )?mediastinal (?:mass|lesion|tumou?r)",
        r"thymoma",
    ),
    "mediastinal shift": (
        r"(?:mediastinal|cardiomediastinal|tracheal and mediastinal) shift|shift of the (?:heart|mediastin\w+)",
    ),
    "tracheal deviation": (r"(?:tracheal|trachea is|trachea) (?:deviat(?:ion|ed)|shift(?:ed)?)",),
    "pneumomediastinum": (r"pneumo-?mediastinum|mediastinal (?:air|emphysema|gas)",),
    "free air": (
        r"(?:free|intraperitoneal|subdiaphragmatic|free intraperitoneal|free subdiaphragmatic) (?:air|gas)",
        r"pneumoperitoneum|air (?:under|beneath|below) the (?:\w{1,12} )?(?:hemi)?diaphragms?",
    ),
    "tortuous aorta": (
        r"(?:tortuous|ectatic|unfolded|uncoiled|elongated)(?: and \w{1,12})? (?:thoracic |descending )?aorta",
        r"aort(?:a|ic) (?:is |appears |remains )?(?:\w{1,12} )?(?:tortuous|ectatic|unfolded|tortuosity|ectasia)",
        r"(?:tortuosity|ectasia|unfolding) of the (?:thoracic |descending )?aorta",
    ),
    "atherosclerosis": (
        (
            r"(?:aortic |vascular |coronary |calcific )?atheroscler(?:osis|otic)"
            r"(?: (?:\w{1,14} ){0,2}?(?:disease|changes?"
            r"|calcifications?|aorta))?"
        ),
        r"(?:aortic|vascular|coronary|aortic arch|aortic knob) (?:\w{1,8} )?calcifications?",
        r"calcified (?:thoracic )?aort\w+",
        r"calcifications? (?:of|in|along) the (?:thoracic )?(?:aort\w{1,3}|aortic \w{1,8})",
    ),
    "lymphadenopathy": (
        r"(?:lymph)?adenopathy|lymph node enlargement",
        r"(?:enlarged|enlargement of|prominent)(?: the)? (?:\w{1,12} ){0,3}?(?:lymph nodes?|nodes)",
    ),
    "hilar enlargement": (
        r"hilar (?:enlargement|prominence|fullness|mass(?:es)?)",
        rf"(?:enlarged|prominent|full|fullness of|prominence of|enlargement of)(?: the)? (?:\w{{1,12}} )?{_NODES}",
        r"(?:hila|hilum) (?:is |are )(?:\w{1,12} )?(?:enlarged|prominent|full)",
    ),
    "hyperinflation": (
        r"hyper-?(?:inflat(?:ed|ion)|expan(?:ded|sion)|aerat(?:ed|ion))",
        r"flatten(?:ed|ing)(?: of)?(?: the)? (?:\w{1,12} )?(?:hemi)?diaphragms?",
        r"copd|(?:chronic )?obstructive (?:pulmonary|lung|airway) disease|air trapping",
    ),
    "emphysema": (r"(?:bullous |centrilobular )?emphysema(?:tous)?(?: changes?| disease)?|bull(?:a|ae|ous) \w{1,10}",),
    "bronchiectasis": (r"(?:traction )?bronchiect(?:asis|atic)(?: changes?)?",),
    "bronchial thickening": (r"(?:peri)?bronchial (?:wall )?(?:thickening|cuffing)|bronchitis|bronchitic changes?",),
    "low lung volumes": (
        r"(?:low|reduced|decreased|diminished|small) (?:lung|inspiratory) volumes?|hypo-?(?:inflat(?:ed|ion)|aeration)",
        r"(?:lung volumes? (?:are|is|remain) (?:\w{1,12} )?(?:low|reduced|decreased|diminished))",
        r"(?:poor|shallow|low) inspirat(?:ion|ory effort)",
    ),
    "elevated hemidiaphragm": (
        r"(?:elevat(?:ed|ion)|eventration)(?: of)?(?: the)? (?:\w{1,8} )?(?:hemi-?)?diaphragms?",
        r"(?:hemi-?)?diaphragm (?:is |remains )?(?:\w{1,10} )?elevat(?:ed|ion)|eventration",
    ),
    "hernia": (r"(?:hiatal|hiatus|diaphragmatic|bochdalek|morgagni|paraesophageal)? ?hernias?",),
    "dislocation": (r"(?:shoulder |glenohumeral |joint )?(?:dislocat(?:ion|ed)|subluxation)",),
    "bone lesion": (
        r"(?:lytic|sclerotic|blastic|bony|bone|osseous|destructive)(?: \w{1,12})? (?:lesions?|destruction)",
        r"(?:bone|bony|osseous) metastas[ei]s",
    ),
    "degenerative change": (
        r"(?:degenerative|spondylotic|arthritic|hypertrophic)(?: \w{1,12}){0,3}? (?:changes?|disease|spurring)",
        r"spondylosis|osteophytes?|osteophytosis|osteoarthritis|arthropathy|arthritis|dish|spurring",
    ),
    "scoliosis": (
        r"(?:\w{1,8}scoliosis|scoliosis|scoliotic curvature)",
        r"(?:thoracic |spinal )?kyphosis|dextrocurvature|levocurvature|curvature of the (?:\w{1,12} )?spine",
    ),
    "osteopenia": (r"osteopeni[ac]|osteoporo(?:sis|tic)|demineraliz(?:ation|ed)",),
    "foreign body": (r"(?:radiopaque |metallic |retained )?foreign (?:body|bodies|object)",),
    "cavity": (r"cavit(?:y|ies|ation)|(?:thick-walled |lung )?abscess(?:es)?|cavitary (?:lesions?|mass|nodules?)",),
    "malignancy": (
        (
            r"neoplasms?|malignan(?:cy|cies)|(?:bronchogenic )?carcinomas?|metasta(?:sis|ses|tic)(?: disease| lesions?"
            r"| nodules?)?|lung cancer|tumou?rs?"
        ),
    ),
    "mass": (rf"{_MEASURE}(?:pulmonary |lung )?mass(?:es)?(?! ?effect| ?-?like)",),
    "nodule": (
        rf"{_MEASURE}(?:pulmonary |lung |solitary ){{0,3}}nodules?",
        r"nodular (?:density|opacity|focus|lesion)|coin lesion",
    ),
    "heart failure": (r"(?:congestive )?(?:heart|cardiac) failure|chf|cardiac decompensation",),
    "congestion": (
        r"(?:pulmonary )?(?:central )?(?:vascular|venous|pulmonary) (?:congestion|engorgement|redistribution|plethora)",
        r"vascular indistinctness|cephalization|(?:engorged|prominent|congested) (?:\w{1,12} )?(?:vasculature|vessels)",
        r"(?:pulmonary )?vascular(?:ity|ature) (?:is |are )?(?:\w{1,8} )?(?:congested|engorged|prominent)",
    ),
    "airspace disease": (
        r"air ?-?space (?:process|disease|opacit(?:y|ies))|infiltrates?|infiltrations?|infiltrative process",
    ),
    "interstitial disease": (
        (
            r"interstitial (?:markings?|patterns?|prominence|changes?|thickening|lung disease|disease|infiltrates?"
            r"|opacit(?:y|ies))"
        ),
        r"reticul(?:ar|onodular) (?:\w{1,12})|reticulation",
    ),
    "fibrosis": (r"(?:pulmonary |interstitial |lung ){0,3}fibro(?:sis|tic)(?: changes?| disease)?|honeycombing",),
    "scarring": (r"(?:parenchymal |pulmonary |lung |apical )?(?:scars?|scarring)",),
    "aspiration": (r"aspiration(?: pneumonia| pneumonitis)?",),
    "contusion": (r"(?:pulmonary |lung )?contusions?",),
    "collapse": (
        r"(?:complete |lobar |lobe |lung |pulmonary ){0,3}collapse",
        r"collapsed (?:\w{1,12} ){0,3}?(?:lungs?|lobes?)",
    ),
    "lucency": (r"(?:hyper)?lucen(?:cy|cies)",),
    "pleural plaque": (r"(?:calcified )?pleural (?:plaques?|calcifications?)",),
    "endotracheal tube": (r"(?:endotracheal|et|endo-tracheal) tubes?|ett|endotracheal intubation",),
    "tracheostomy": (r"tracheostomy(?: tube| cannula)?",),
    "enteric tube": (
        (
            r"(?:enteric|naso-?gastric|oro-?gastric|feeding|ng|og|dobb?-?hoff|gastric|enteral)(?: feeding)?"
            r" (?:tubes?|catheter)"
            r"|ngt|ogt|dobb?-?hoff"
        ),
    ),
    "picc": (r"picc(?: lines?| catheter)?|peripherally inserted central (?:venous )?(?:catheter|line)",),
    "port": (r"port-?a-?cath|mediport|infusion port|chest port|port catheter",),
    "central line": (
        (
            r"(?:central venous|central|subclavian|jugular|internal jugular|ij|dialysis|hemodialysis|swan-ganz|cv)"
            r"(?: venous)? (?:lines?|catheters?)|cvc|cvl|swan-ganz"
        ),
    ),
    "pacemaker": (
        (
            r"(?:cardiac |chest wall |dual-?chamber |single-?chamber ){0,3}"
            r"(?:pacemakers?|pacer|icd|aicd|defibrillators?)"
            r"(?: (?:leads?|generator|device|wires?|electrodes?))?|(?:pacer|pacing|pacemaker) (?:leads?|wires?)"
        ),
    ),
    "chest tube": (r"(?:chest|thoracostomy|pleural) (?:tubes?|drains?|catheter)|pigtail(?: catheter)?",),
    "sternal wires": (
        r"(?:median )?sternotomy(?: wires?)?(?: and (?:surgical )?clips)?",
        r"sternal wires?|cabg(?: clips)?|cerclage wires",
    ),
    "surgical clips": (r"(?:surgical|cholecystectomy|vascular|axillary|metallic) clips?|clips|staples",),
    "valve prosthesis": (
        r"(?:bio)?(?:prosthetic|mechanical|artificial) (?:(?:aortic|mitral|tricuspid|heart|cardiac) )?valves?",
        r"(?:aortic |mitral |cardiac )?valve (?:replacement|prosthesis)|tavr",
    ),
    "spinal hardware": (r"(?:spinal|fusion|orthopedic) hardware|spinal fusion|(?:spinal|vertebral) rods?",),
}

OF_OBSERVATION: dict[str, str] = {
    "Enlarged Cardiomediastinum": "mediastinal widening",
    "Cardiomegaly": "cardiomegaly",
    "Lung Lesion": "lung lesion",
    "Edema": "edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Lung Opacity": "opacity",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural effusion",
    "Pleural Other": "pleural thickening",
    "Fracture": "fracture",
    "Support Devices": "device",
}
"""The concept of an observation's own wordings."""


def _vocabulary() -> dict[str, tuple[str, ...]]:
    """Return the wordings of each concept, the specific ones before those of the observations."""
    words = {**FIRST, **SPECIFIC}
    words["mediastinal widening"] = (r"(?:wide|widened|enlarged|prominent) mediastinal (?:contours?|silhouette)",)
    words["pleural effusion"] = (
        r"blunt(?:ed|ing)(?: of)?(?: the)? (?:\w{1,8} )?costophrenic (?:angles?|sulc(?:us|i))",
        r"costophrenic (?:angles?|sulc(?:us|i)) (?:blunting|(?:is |are )(?:\w{1,8} )?blunted)",
    )
    for observation, wordings in MENTIONS.items():
        concept = OF_OBSERVATION[observation]
        words[concept] = (*words.get(concept, ()), *wordings)
    return words


_DEVICES = {name: "device" for name, concept in CONCEPTS.items() if concept.observation == "Support Devices"}
_MIDLINE = {name: name for name, concept in CONCEPTS.items() if not concept.sided and name not in _DEVICES}
FINDING_GRAMMAR = build_grammar(_vocabulary(), _DEVICES | _MIDLINE, num_first=len(FIRST))
"""Reads every concept."""

ZONES: tuple[tuple[Zone, re.Pattern[str]], ...] = (
    (
        "upper",
        re.compile(
            r"\b(?:upper (?:lobe|lung|zone|field|ribs?|(?:left|right) ribs?)|upper(?: and| or|,)"
            r"|apex|apical|apices|bi-?apical|[rl]ul\b)"
        ),
    ),
    (
        "mid",
        re.compile(
            r"\b(?:mid(?:dle)?[- ]?(?:lobe|lung|zone|field|ribs?)|mid(?:dle)?(?: and| or|,)|lingula|rml\b|peri-?hilar)"
        ),
    ),
    (
        "lower",
        re.compile(
            r"\b(?:lower (?:lobe|lung|zone|field|ribs?)|lower(?: and| or|,)|bas(?:e|es|al|ilar)\b|bi-?bas(?:al|ilar)"
            r"|retrocardiac|[rl]ll\b|infrahilar)"
        ),
    ),
)
"""Words for a third of the lung; a lobe counts as the third that most of it lies in."""

SIZE = re.compile(
    r"(?P<sizes>\d{1,3}(?:\.\d{1,2})?(?: ?(?:x|by|-|–|to) ?\d{1,3}(?:\.\d{1,2})?){0,2}) ?-?(?P<unit>mm|cm|millimeters?"
    r"|centimeters?)\b(?! (?:above|below|from|proximal|distal|superior|inferior|beyond|past|over))"
)
SIZE_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,2})?")

POSITIONS: tuple[tuple[Position, re.Pattern[str]], ...] = (
    (
        "malpositioned",
        re.compile(
            r"\b(?:mal-?position(?:ed|ing)?|mis-?position(?:ed|ing)?|mis-?placed|displaced|(?:not|poorly|suboptimal\w*)"
            r" (?:well )?position(?:ed)?|(?:in|into|within) (?:the )?(?:right|left)(?: main(?: ?-?stem)?)? bronchus"
            r"|main ?-?stem|esophag\w+|coil(?:ed|ing|s)|kink(?:ed|ing)|too (?:high|low|deep|far)|retract(?:ed|ion)?"
            r"|repositioning|withdrawn|(?:in|into|within) the (?:azygos|contralateral|right ventricle"
            r"|(?:right |left )?internal jugular|neck)|dislodged|malpositioned|at the carina)\b"
        ),
    ),
    (
        "satisfactory",
        re.compile(
            r"\b(?:(?:satisfactory|good|appropriate|adequate|expected|standard|proper|correct|normal|stable|unchanged"
            r"|optimal|acceptable) (?:\w{1,10} )?(?:position(?:ing)?|location|placement)|(?:well|appropriately"
            r"|satisfactorily|adequately|properly|correctly) (?:positioned|placed|located)|above the carina|in place"
            r"|(?:superior vena cava|svc|cavo-?atrial junction|stomach|right atrium|pleural space|gastric body"
            r"|below the (?:left )?(?:hemi)?diaphragm))\b"
        ),
    ),
)
"""Words for where a device ends; the first that is found counts."""

WORSE = re.compile(r"increas|worse|progress|enlarg|larger|grow|grown|develop|advancement")
BETTER = re.compile(r"decreas|improv|better|smaller|regress|resolving|reduc|clearing|removal")
CHANGES: dict[str, Change] = {
    "unchanged": "unchanged",
    "seen_before": "unchanged",
    "new": "new",
    "resolved": "resolved",
    "prior_exam": "compared",
}
"""Kind of a reference to an earlier exam -> what it says of what it goes with."""
