"""How often the guard of `present_state` lets a corrupted sentence through: real sentences, rewritten by rule and then
changed on purpose in one way each.

    python bench/guard.py ../shared/data

Prints, by kind of change, how many were made and how many the guard let in. Nothing of a report is printed.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from radlet.data.priors import find_prior_references, remove_prior_references
from radlet.llm.guard import check_present_state

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SWAPS = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}
_DEGREES = {"small": "large", "mild": "severe", "moderate": "mild", "large": "small", "minimal": "marked"}


def swap(words: dict[str, str]) -> Callable[[str], str]:
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    return lambda text: pattern.sub(lambda match: words[match[1]], text, count=1)


CHANGES: dict[str, Callable[[str], str]] = {
    "side or zone changed": swap(_SWAPS),
    "degree changed": swap(_DEGREES),
    "denial dropped": lambda text: re.sub(r"(?i)\b(?:no|without)\s+", "", text, count=1),
    "denial added": lambda text: re.sub(r"(?i)\b(?:there is|there are) (?!no\b)", "There is no ", text, count=1),
    "number changed": lambda text: re.sub(r"\d", lambda match: str((int(match[0]) + 1) % 10), text, count=1),
    "doubt dropped": lambda text: re.sub(r"(?i)\b(?:possible|possibly|probable|likely|may represent)\s+", "", text),
    "observation added": lambda text: f"{text} Small pleural effusion.",
    "denial of another added": lambda text: f"{text} No pneumothorax or fracture.",
    "other finding added": lambda text: f"{text} Pneumoperitoneum.",
    "advice added": lambda text: f"{text} Clinical correlation is recommended.",
    "last half lost": lambda text: " ".join(text.split()[: len(text.split()) // 2]),
    "longest word lost": lambda text: text.replace(max(re.findall(r"[A-Za-z]+", text) or [""], key=len), "", 1),
}


def sentences(root: Path) -> Iterator[str]:
    """Yield the sentences that compare and that the rules can rewrite."""
    for name in ("train", "dev"):
        for line in (root / "iu_xray" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for text in (row.get("findings") or "", row.get("impression") or ""):
                yield from (part for part in _SENTENCE_END.split(text) if find_prior_references(part))


def main() -> None:
    made: Counter[str] = Counter()
    let_in: Counter[str] = Counter()
    for source in sorted(set(sentences(Path(sys.argv[1])))):
        faithful = remove_prior_references(source).text
        if not faithful or find_prior_references(faithful):
            continue
        made["faithful"] += 1
        let_in["faithful"] += not check_present_state(source, faithful)
        for name, change in CHANGES.items():
            changed = change(faithful)
            if changed not in (faithful, source):
                made[name] += 1
                let_in[name] += not check_present_state(source, changed)
    for name, count in made.items():
        print(f"{name:<26}{count:>6} made {let_in[name]:>6} let in  {let_in[name] / count:7.2%}")


if __name__ == "__main__":
    main()
