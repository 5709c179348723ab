"""The scanner of a film, in words that cannot name a person: a known maker, and the parts of a model's name.

PS3.15 Table E.1-1 is silent on Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090), so the basic profile
lets them stand. Both are free text all the same, and headers hold what people typed. So only makers that stand here are
told, and of a model's name only short parts with a digit in them, and known product lines.
"""

import re

OTHER = "other maker"
_MAKERS: dict[str, str] = {
    "AGFA": "Agfa",
    "CANON": "Canon",
    "CARESTREAM": "Carestream",
    "DEL MEDICAL": "Del Medical",
    "DELFT": "Delft",
    "DRGEM": "DRGEM",
    "FUJI": "Fujifilm",
    "GE ": "GE",
    "GENERAL ELECTRIC": "GE",
    "HITACHI": "Hitachi",
    "HOLOGIC": "Hologic",
    "IMAGING DYNAMICS": "Imaging Dynamics",
    "KODAK": "Kodak",
    "KONICA": "Konica Minolta",
    "LISTEM": "Listem",
    "LODOX": "Lodox",
    "MINDRAY": "Mindray",
    "PHILIPS": "Philips",
    "RADLET": "radlet",
    "SAMSUNG": "Samsung",
    "SEDECAL": "Sedecal",
    "SHIMADZU": "Shimadzu",
    "SIEMENS": "Siemens",
    "STERLING": "Sterling",
    "SWISSRAY": "Swissray",
    "TOSHIBA": "Toshiba",
    "UNITED IMAGING": "United Imaging",
    "VAREX": "Varex",
    "VARIAN": "Varian",
    "VIDAR": "Vidar",
}
"""How a maker's name begins in headers -> how it is told."""
_LINES_TEXT = """
ADC AERODR ARISTOS AXIOM CLISIS COMPACT CR DEFINIUM DIAGNOST DIGITAL DIGITALDIAGNOST DIRECTVIEW DISCOVERY DR DRX
DURA DURADIAGNOST DX DX-D EASY ELITE ESSENTA EVOLUTION FCR FDR FILM FLUOROSPOT LUMINOS MAX MOBILE MOBILEDART
MOBILETT MULTIX OPTIMA PCR PRACTIX PRO PROTEUS RADNEXT RADSPEED REVOLUTION SIRESKOP SONIALVISION SYNTHETIC
THORAVISION THORAX TRIXELL ULTRA VERTIX VISION XPLORER XR YSIO
"""
LINES = frozenset(_LINES_TEXT.split())
_PART = re.compile(r"(?=[^\d]*\d)(?!.*\d{5})[A-Z0-9][A-Z0-9.+-]{0,9}")
"""A part of a model's name such as DRX-1, 8000 or CXDI-55C; five digits in a row may be a number of someone."""


def read_scanner(maker: str, model: str) -> str | None:
    """Return maker and model as far as they can be told; None where the film names no maker.

    Args:
        maker: Manufacturer (0008,0070) as it stands.
        model: Manufacturer's Model Name (0008,1090) as it stands.
    """
    known = told_maker(maker)
    if known is None:
        return OTHER if maker.strip() else None
    return f"{known} {told_model(model)}".strip()


def told_maker(maker: str) -> str | None:
    """Return a known maker by its usual name; None for any other."""
    name = re.sub(r"[^A-Z]+", " ", maker.upper()).strip() + " "
    return next((told for begins, told in _MAKERS.items() if name.startswith(begins)), None)


def told_model(model: str) -> str:
    """Return a model's name less every part that could be anything else."""
    parts = re.split(r"[\s,/_()\"']+", model.upper())
    return " ".join(part for part in parts if part in LINES or _PART.fullmatch(part))[:32].strip()
