"""What a de-identified film may still say in words: defined terms, codes and words of descriptions.

`radlet.data.confidentiality` keeps a coded attribute only when its value stands here, because a field that should hold
a defined term may hold whatever was typed into it, a name too.
"""

from functools import cache

from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

_ORIENTATIONS = {"A", "P", "R", "L", "H", "F"}
_YES_NO = {"YES", "NO"}
MODALITIES = frozenset(
    ("CR", "CT", "DX", "ES", "IO", "MG", "MR", "NM", "OT", "PR", "PT", "PX", "RF", "RG", "SR", "US", "XA")
)
BODY_PARTS = frozenset(
    (
        "ABDOMEN",
        "ANKLE",
        "ARM",
        "BREAST",
        "CHEST",
        "CLAVICLE",
        "CSPINE",
        "ELBOW",
        "EXTREMITY",
        "FEMUR",
        "FINGER",
        "FOOT",
        "FOREARM",
        "HAND",
        "HEAD",
        "HIP",
        "HUMERUS",
        "KNEE",
        "LEG",
        "LSPINE",
        "LUNG",
        "NECK",
        "PELVIS",
        "RIB",
        "SHOULDER",
        "SKULL",
        "SPINE",
        "STERNUM",
        "THORAX",
        "TOE",
        "TSPINE",
        "WRIST",
    )
)

DEFINED_TERMS: dict[str, frozenset[str]] = {
    "Modality": MODALITIES,
    "BodyPartExamined": BODY_PARTS,
    "ViewPosition": frozenset(
        ("PA", "AP", "LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "RLD", "LLD", "RLO", "LLO", "MLO", "CC")
    ),
    "PatientSex": frozenset("FMO"),
    "PatientOrientation": frozenset(
        {a + b + c for a in _ORIENTATIONS for b in (*_ORIENTATIONS, "") for c in (*_ORIENTATIONS, "")}
    ),
    "PatientPosition": frozenset(("HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS")),
    "Laterality": frozenset("LRBU"),
    "ImageLaterality": frozenset("LRBU"),
    "ImageType": frozenset(("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "POST_PROCESSED", "MIXED")),
    "PresentationIntentType": frozenset(("FOR PRESENTATION", "FOR PROCESSING")),
    "PhotometricInterpretation": frozenset(
        (
            "MONOCHROME1",
            "MONOCHROME2",
            "RGB",
            "YBR_FULL",
            "YBR_FULL_422",
            "YBR_ICT",
            "YBR_RCT",
            "PALETTE COLOR",
        )
    ),
    "PresentationLUTShape": frozenset(("IDENTITY", "INVERSE", "LIN OD")),
    "PixelIntensityRelationship": frozenset(("LIN", "LOG", "DISP")),
    "VOILUTFunction": frozenset(("LINEAR", "LINEAR_EXACT", "SIGMOID")),
    "RescaleType": frozenset(("US", "OD", "HU")),
    "ModalityLUTType": frozenset(("US", "OD", "HU")),
    "BurnedInAnnotation": frozenset(_YES_NO),
    "LossyImageCompression": frozenset(("00", "01")),
    "LossyImageCompressionMethod": frozenset(
        ("ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_13818_2", "ISO_14496_10")
    ),
    "ConversionType": frozenset(("DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN")),
    "PositionerType": frozenset(("CARM", "COLUMN", "MAMMOGRAPHIC", "PANORAMIC", "CEPHALOSTAT", "RIGID", "NONE")),
    "DetectorType": frozenset(("DIRECT", "SCINTILLATOR", "STORAGE", "FILM")),
    "DetectorConfiguration": frozenset(("AREA", "SLOT")),
    "FieldOfViewShape": frozenset(("RECTANGLE", "ROUND", "HEXAGONAL")),
    "CollimatorShape": frozenset(("RECTANGULAR", "CIRCULAR", "POLYGONAL")),
    "ExposureControlMode": frozenset(("MANUAL", "AUTOMATIC")),
    "Grid": frozenset(("FIXED", "FOCUSED", "RECIPROCATING", "PARALLEL", "CROSSED", "NONE")),
    "CassetteOrientation": frozenset(("LANDSCAPE", "PORTRAIT")),
    "RectificationType": frozenset(("SINGLE PHASE", "THREE PHASE", "CONST POTENTIAL")),
    "SpatialLocationsPreserved": frozenset({*_YES_NO, "REORIENTED_ONLY"}),
}
"""Defined terms and enumerated values by keyword (PS3.3), for the attributes that describe a projection film."""

_DESCRIPTION_WORDS_TEXT = """
ABDOMEN AND ANTEROPOSTERIOR ANTERO AP APICAL BED BEDSIDE CHEST CR CXR DECUB DECUBITUS DIGITAL DX ERECT EXPIRATION
EXPIRATORY FRONTAL INSPIRATION INSPIRATORY LAT LATERAL LEFT LL LLAT LORDOTIC LUNG LUNGS MOBILE OBLIQUE OF ONE PA
PORTABLE POSTEROANTERIOR POSTERO POSTERIOR RADIOGRAPH RIB RIBS RIGHT RL RLAT ROUTINE SEMIERECT SINGLE SITTING
STANDING SUPINE THORAX TWO UPRIGHT VIEW VIEWS WITH X-RAY XR XRAY 1 2 3
"""
_DESCRIPTION_WORDS = frozenset(_DESCRIPTION_WORDS_TEXT.split())


def cleaned_description(text: str) -> str:
    """Return a description less every word that is not one of projection radiography (Clean Descriptors Option)."""
    words = text.upper().replace("/", " ").replace(",", " ").replace("_", " ").replace("P.A.", "PA").split()
    return " ".join(word for word in words if word.strip(".()") in _DESCRIPTION_WORDS)[:64]


@cache
def _meanings() -> dict[tuple[str, str], str]:
    """Return ``(scheme, code) -> meaning``, of the codes that the standard itself uses (PS3.16)."""
    known = {
        (scheme, code): meaning
        for scheme in ("DCM", "SCT")
        for entries in concepts[scheme].values()
        for code, (meaning, _) in entries.items()
    }
    retired = {("SRT", old): known[("SCT", code)] for old, code in mapping["SRT"].items() if ("SCT", code) in known}
    return known | retired | {("SNM3", code): meaning for (_, code), meaning in retired.items()}


def code_meaning(scheme: str, code: str) -> str | None:
    """Return the standard's meaning of a code, in ASCII; None when PS3.16 does not use the code."""
    meaning = _meanings().get((scheme, code))
    return meaning.encode("ascii", "ignore").decode()[:64] if meaning else None
