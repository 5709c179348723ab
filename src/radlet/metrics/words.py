"""How a text becomes words where a metric's own library does not say: in lower case, without punctuation."""

import re

_WORD = re.compile(r"[a-z0-9]+(?:[.'/-][a-z0-9]+)*")


def plain_words(text: str) -> list[str]:
    """Return the words of a text; a number with its point and a word with a hyphen are one."""
    return _WORD.findall(text.lower())
