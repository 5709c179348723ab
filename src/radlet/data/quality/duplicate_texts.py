"""Check `duplicate_texts`: reports that are word for word, or nearly, the report of another study.

Templates of a normal chest repeat for good reason, so this counts and flags; it rejects only where the recipe says so.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from datasketch import MinHash, MinHashLSH
from pydantic import Field
from rapidfuzz import fuzz

from radlet.core.records import Study
from radlet.data.quality.base import Finder, Group, MeasuredFilm, Member, SetCheck
from radlet.data.quality.groups import Alike, make_groups, member_of

_SHINGLE = 3
_PERMUTATIONS = 64
_CANDIDATE_JACCARD = 0.5
"""Texts that share about this part of their word triples are compared letter by letter."""


class DuplicateTexts(SetCheck):
    """Finds reports that repeat another one, and how often across patients."""

    of = "studies"

    limit: float = Field(default=0.95, ge=0.5, le=1)
    """Least share of letters that two texts have in common, in order, to count as the same."""
    min_words: int = Field(default=4, ge=1)
    """Shorter texts are not compared."""

    def finder(self, scratch_dir: Path) -> Finder:  # noqa: ARG002 - texts stay in memory
        """Return a finder that holds one copy of each different text."""
        return _Texts(self)


class _Texts:
    """The texts gathered so far, each different one once."""

    def __init__(self, check: DuplicateTexts) -> None:
        self._check = check
        self._members: list[Member] = []
        self._places: dict[bytes, list[int]] = defaultdict(list)
        self._texts: dict[bytes, str] = {}

    def add(self, study: Study, films: Sequence[MeasuredFilm]) -> None:  # noqa: ARG002 - of the contract
        """Take note of the text of a study; its films do not matter."""
        words = normalised_words(study)
        if len(words) < self._check.min_words:
            return
        text = " ".join(words)
        digest = hashlib.sha256(text.encode()).digest()
        self._texts.setdefault(digest, text)
        self._places[digest].append(len(self._members))
        self._members.append(member_of(study, study.study_id))

    def find(self) -> list[Group]:
        """Return the groups: each text joins the most similar of those before it that lead a group, or leads one."""
        leaders = MinHashLSH(threshold=_CANDIDATE_JACCARD, num_perm=_PERMUTATIONS)
        groups: dict[bytes, Alike] = {}
        for digest, text in self._texts.items():
            sketch = _sketch(text)
            leader, alike = max(
                ((other, fuzz.ratio(text, self._texts[other]) / 100) for other in sorted(leaders.query(sketch))),
                key=lambda found: found[1],
                default=(digest, 0.0),
            )
            if alike < self._check.limit:
                leaders.insert(digest, sketch)
                groups[digest] = dict.fromkeys(self._places[digest], 1.0)
            else:
                groups[leader] |= dict.fromkeys(self._places[digest], alike)
        several = [group for group in groups.values() if len(group) > 1]
        return make_groups("duplicate_texts", "studies", dict(enumerate(self._members)), several)


def normalised_words(study: Study) -> list[str]:
    """Return the words and numbers of findings and impression, or of the whole report, in lower case."""
    parts = [study.sections.get(name, "") for name in ("findings", "impression")]
    text = " ".join(parts) if any(parts) else study.report or ""
    return re.findall(r"\w+", text.lower())


def _sketch(text: str) -> MinHash:
    words = text.split()
    shingles = {" ".join(words[start : start + _SHINGLE]) for start in range(max(len(words) - _SHINGLE + 1, 1))}
    sketch = MinHash(num_perm=_PERMUTATIONS)
    sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return sketch
