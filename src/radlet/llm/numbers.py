"""Read the numbers of a text, in figures and in words, in a form in which two texts can be compared."""

import re
from collections import Counter
from collections.abc import Mapping

_CARDINALS = "one two three four five six seven eight nine ten eleven twelve"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
ENGLISH_WORDS: Mapping[str, str] = {
    **{word: str(value) for value, word in enumerate(_CARDINALS.split(), 1)},
    **{word: f"{value}th" for value, word in enumerate(_ORDINALS.split(), 1)},
}
"""Number words and what they are in figures; an ordinal is another number than its cardinal."""

_UNITS = {
    "millimeter": "mm", "millimeters": "mm", "millimetre": "mm", "millimetres": "mm", "mms": "mm",
    "centimeter": "cm", "centimeters": "cm", "centimetre": "cm", "centimetres": "cm", "cms": "cm",
    "percent": "%", "cc": "ml",
}  # fmt: skip
_UNIT = r"(?:mm|cms?|mms?|millimet(?:er|re)s?|centimet(?:er|re)s?|percent|%|ml|cc|m|kg|french|fr)"
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)](?=\s)", re.MULTILINE)
_FIGURE = re.compile(
    r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}"  # a date
    r"|\b[tlc]\d{1,2}\b"  # a vertebra
    rf"|[<>~]?(?:(?<![a-z0-9.,])|(?<=\dx)|(?<=[-/]))(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:st|nd|rd|th)?"
    rf"(?:[ -]?{_UNIT}(?![a-z]))?"
)


def find_numbers(text: str, words: Mapping[str, str] = ENGLISH_WORDS, decimal_comma: bool = False) -> Counter[str]:
    """Return the numbers of a text with their units, comparison signs and counts; list numbers are none.

    Args:
        text: In any case.
        words: Number words of the language, lower-cased, and what they are in figures.
        decimal_comma: Whether ``1,5`` is one and a half; else a comma groups thousands.
    """
    lowered = _LIST_NUMBER.sub(" ", text.lower())
    lowered = re.sub(r"[a-z\u00df-\u00ff]+", lambda match: words.get(match[0], match[0]), lowered)
    return Counter(_plain(match[0], decimal_comma) for match in _FIGURE.finditer(lowered))


def _plain(figure: str, decimal_comma: bool) -> str:
    match = re.fullmatch(r"([<>~]?)([\d.,]+)(st|nd|rd|th)?[ -]?(\D*)", figure)
    if match is None or figure.count(".") > 1:
        return figure
    sign, digits, ordinal, unit = match.groups()
    digits = digits.replace(",", ".") if decimal_comma else re.sub(r",(?=\d{3})", "", digits).replace(",", ".")
    whole, _, part = digits.partition(".")
    part = part.rstrip("0")
    number = f"{int(whole or 0)}" + (f".{part}" if part else "")
    return f"{sign}{number}{'th' if ordinal else ''}{_UNITS.get(unit, unit)}"
