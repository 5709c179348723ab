"""The words of the synthetic reports: noun phrases of each finding, frames around them, and the normal statements.

Every finding's words name exactly one CheXpert observation, so that a rule labeller reads what is really there: a
consolidation is never called an opacity, and an opacity never a consolidation.
"""

from collections.abc import Mapping

SIZE_WORDS = {"mild": "small", "moderate": "moderate", "severe": "large"}
DEGREE_WORDS = {"mild": ("mild",), "moderate": ("moderate",), "severe": ("severe", "marked")}
ADVERBS = {"mild": "mildly", "moderate": "moderately", "severe": "severely"}
ZONES = {
    "upper": ("in the {side} upper lobe", "in the {side} upper lung", "in the {side} upper zone"),
    "mid": ("in the {side} mid lung", "in the {side} mid zone"),
    "lower": ("in the {side} lower lobe", "in the {side} lower lung", "at the {side} base", "at the {side} lung base"),
}
BOTH_ZONES = {
    "mid": ("in both mid lungs", "in the mid lungs bilaterally"),
    "lower": ("at both bases", "in both lower lobes", "at the bilateral lung bases"),
}
RIB_ZONES = {"upper": "upper", "mid": "middle", "lower": "lower"}

NOUN_PHRASES: Mapping[str, tuple[str, ...]] = {
    "effusion": ("{size} {side} pleural effusion",),
    "effusions": ("{size} {side} pleural effusions",),
    "pneumothorax": ("{size} {side} pneumothorax",),
    "consolidation": ("consolidation {place}", "focal consolidation {place}", "dense consolidation {place}"),
    "hazy_opacity": ("hazy opacity {place}",),
    "edema": ("{degree} pulmonary edema", "{degree} interstitial edema", "{degree} bilateral pulmonary edema"),
    "atelectasis": ("atelectasis {place}", "linear atelectasis {place}", "subsegmental atelectasis {place}"),
    "cardiomegaly": ("{degree} cardiomegaly",),
    "wide_mediastinum": ("mediastinal widening", "widening of the mediastinum"),
    "nodule": ("{mm} mm nodule {place}", "{mm} mm pulmonary nodule {place}"),
    "mass": ("{cm} cm mass {place}", "{cm} cm lung mass {place}"),
    "rib_fracture": ("displaced {side} {zone} rib fractures", "displaced fractures of the {side} {zone} ribs"),
    "pleural_thickening": ("{side} {layer} pleural thickening",),
    "endotracheal_tube": ("endotracheal tube",),
    "central_line": ("{side} central venous catheter", "{side} central venous line"),
    "pacemaker": ("{side} pacemaker", "{side} chest wall pacemaker"),
}
FRAMES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "plain": (("There {be} {a}.", ""), ("{a} {be} present.", ""), ("{a} {be} seen.", ""), ("{bare}.", "")),
    "new": (("There {be} {a}.", "new"), ("{a} {be} seen.", "new"), ("{bare}.", "new")),
    "unchanged": (("{a} {be} unchanged.", ""), ("{bare}.", "unchanged"), ("{bare}.", "stable")),
    "worse": (
        ("{a} {have} increased.", ""),
        ("{a} {have} worsened since the prior study.", ""),
        ("{bare}.", "increased"),
    ),
    "improved": (
        ("{a} {have} decreased.", ""),
        ("{a} {have} improved since the prior study.", ""),
        ("{bare}.", "decreased"),
    ),
}
"""By change since the previous exam: a frame around the noun phrase ({a}: with its article), and a word before it."""

CLAUSES: Mapping[str, tuple[str, ...]] = {
    "cardiomegaly": ("The heart is {adverb} enlarged.", "The cardiac silhouette is {adverb} enlarged."),
    "wide_mediastinum": ("The mediastinum is widened.", "The superior mediastinum is widened."),
    "endotracheal_tube": (
        "The endotracheal tube tip projects above the carina.",
        "An endotracheal tube terminates above the carina.",
    ),
    "central_line": (
        "A {side} central venous catheter terminates in the superior vena cava.",
        "The {side} central venous line tip projects over the superior vena cava.",
    ),
    "pacemaker": (
        "A {side} chest wall pacemaker is in place.",
        "A {side} sided pacemaker is seen with leads projecting over the heart.",
    ),
}

NORMAL: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "lungs": (
        (
            ("Lung Opacity", "Consolidation", "Edema", "Atelectasis", "Lung Lesion"),
            (
                "The lungs are clear.",
                "Both lungs are clear.",
                "Lungs are clear bilaterally.",
                "The lungs are well expanded and clear.",
            ),
        ),
        (("Consolidation",), ("No focal consolidation.", "There is no consolidation.", "No consolidation is seen.")),
        (("Edema",), ("No pulmonary edema.", "There is no evidence of edema.")),
        (("Lung Lesion",), ("No pulmonary nodule or mass.", "No suspicious nodule is seen.")),
        (("Consolidation", "Edema"), ("No focal consolidation or pulmonary edema.",)),
    ),
    "pleura": (
        (
            ("Pleural Effusion", "Pneumothorax"),
            (
                "No pleural effusion or pneumothorax.",
                "There is no pneumothorax or pleural effusion.",
                "Neither pleural effusion nor pneumothorax is seen.",
            ),
        ),
        (("Pleural Effusion",), ("No pleural effusion.", "There is no pleural effusion.")),
        (("Pneumothorax",), ("No pneumothorax.", "There is no pneumothorax.", "No pneumothorax is seen.")),
    ),
    "heart": (
        (
            ("Cardiomegaly", "Enlarged Cardiomediastinum"),
            (
                "The cardiomediastinal silhouette is normal.",
                "Heart and mediastinum are within normal limits.",
                "Cardiac and mediastinal contours are normal.",
            ),
        ),
        (("Cardiomegaly",), ("The heart size is normal.", "Heart size is within normal limits.", "No cardiomegaly.")),
        (("Enlarged Cardiomediastinum",), ("The mediastinal contours are normal.", "The mediastinum is unremarkable.")),
    ),
    "bones": ((("Fracture",), ("No rib fracture.", "No acute fracture is seen.", "The bony structures are intact.")),),
}
"""By region: what a sentence denies, and its wordings. The first entry whose observations are all absent is widest."""

RESOLVED = ("The previously seen {noun} has resolved.", "There is no residual {noun}.", "{Noun} is no longer present.")
UNCERTAIN: Mapping[str, tuple[str, ...]] = {
    "Pleural Effusion": ("A small pleural effusion cannot be excluded.", "Possible trace pleural effusion."),
    "Edema": ("Possible mild pulmonary edema.", "Early edema cannot be excluded."),
    "Atelectasis": ("Possible minimal atelectasis.",),
    "Lung Lesion": ("A small nodule cannot be excluded.",),
}
NOUNS: Mapping[str, str] = {
    "effusion": "pleural effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "hazy_opacity": "hazy opacity",
    "edema": "pulmonary edema",
    "atelectasis": "atelectasis",
}
NORMAL_IMPRESSIONS = (
    "No acute cardiopulmonary abnormality.",
    "No acute cardiopulmonary process.",
    "Normal chest radiograph.",
    "No acute disease.",
)
REGIONS: Mapping[str, str] = {
    "Lung Opacity": "lungs",
    "Consolidation": "lungs",
    "Edema": "lungs",
    "Atelectasis": "lungs",
    "Lung Lesion": "lungs",
    "Pleural Effusion": "pleura",
    "Pneumothorax": "pleura",
    "Pleural Other": "pleura",
    "Cardiomegaly": "heart",
    "Enlarged Cardiomediastinum": "heart",
    "Fracture": "bones",
    "Support Devices": "devices",
}
REGION_ORDERS = (
    ("lungs", "pleura", "heart", "bones", "devices"),
    ("devices", "heart", "lungs", "pleura", "bones"),
    ("heart", "lungs", "pleura", "bones", "devices"),
    ("devices", "lungs", "pleura", "heart", "bones"),
)

COMPLAINTS: Mapping[str, tuple[str, ...]] = {
    "Pleural Effusion": ("shortness of breath", "decreased breath sounds", "dyspnea"),
    "Pneumothorax": ("sudden chest pain", "chest pain after a procedure", "acute dyspnea"),
    "Consolidation": ("fever and cough", "productive cough", "fever"),
    "Lung Opacity": ("cough", "fever", "hypoxia"),
    "Edema": ("shortness of breath", "leg swelling", "dyspnea on exertion"),
    "Atelectasis": ("postoperative day two", "low oxygen saturation", "cough"),
    "Cardiomegaly": ("dyspnea on exertion", "hypertension", "leg swelling"),
    "Enlarged Cardiomediastinum": ("chest pain", "back pain", "hoarseness"),
    "Lung Lesion": ("weight loss", "hemoptysis", "smoker with cough"),
    "Fracture": ("fall", "trauma", "chest wall pain after a fall"),
    "Pleural Other": ("asbestos exposure", "routine examination", "chronic cough"),
    "Support Devices": ("line placement", "respiratory failure", "intensive care follow up"),
}
HISTORIES = ("hypertension", "diabetes", "former smoker", "asthma", "coronary disease", "no significant history")
TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    "PA": ("PA view of the chest.", "Single PA radiograph of the chest."),
    "AP": ("Portable AP view of the chest.", "Single AP radiograph of the chest."),
    "PA+LATERAL": ("PA and lateral views of the chest.", "Two views of the chest, PA and lateral."),
}
HEADING_STYLES: tuple[Mapping[str, str], ...] = (
    {
        "indication": "INDICATION: ", "history": "HISTORY: ", "technique": "TECHNIQUE: ", "comparison": "COMPARISON: ",
        "findings": "FINDINGS: ", "impression": "IMPRESSION: ",
    },
    {
        "indication": "Indication: ", "history": "History: ", "technique": "Technique: ", "comparison": "Comparison: ",
        "findings": "Findings: ", "impression": "Impression: ",
    },
    {
        "indication": "REASON FOR EXAM:\n", "history": "CLINICAL HISTORY:\n", "technique": "TECHNIQUE:\n",
        "comparison": "COMPARISON:\n", "findings": "FINDINGS:\n", "impression": "IMPRESSION:\n",
    },
    {
        "indication": "INDICATION\n", "history": "HISTORY\n", "technique": "TECHNIQUE\n", "comparison": "COMPARISON\n",
        "findings": "FINDINGS\n", "impression": "IMPRESSION\n",
    },
)  # fmt: skip

FIRST_NAMES = {"F": ("Mirela", "Odette", "Thandiwe", "Ingrid"), "M": ("Casimir", "Rafferty", "Tobias", "Yannick")}
LAST_NAMES = ("Ashdown", "Brzezinski", "Calloway", "Drummond", "Eskildsen", "Fairweather", "Galbraith", "Hollingsworth")
DOCTORS = ("Lindqvist", "Marchetti", "Nakashima", "Oyelaran", "Pemberton", "Quintero")
