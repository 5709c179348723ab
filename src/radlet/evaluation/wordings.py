"""How the training reports say that an observation is there: the sentences whose likelihood tells its probability."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from radlet.core.records import State
from radlet.data.observations import find_mentions, sentences

_MAX_CHARS = 120


@dataclass(frozen=True)
class Wording:
    """One sentence and its share among the wordings of its observation."""

    text: str
    share: float


def positive_wordings(targets: Iterable[str], count: int) -> dict[str, tuple[Wording, ...]]:
    """Return, for each observation, the most frequent sentences that state it, and it alone, as present.

    Args:
        targets: Texts that the model learnt to write.
        count: Most wordings of an observation; of equally frequent ones the shorter is taken.
    """
    found: dict[str, Counter[str]] = {}
    for target in targets:
        for start, sentence in sentences(target):
            text = target[start : start + len(sentence)].strip()
            mentions = find_mentions(text) if text and len(text) <= _MAX_CHARS else []
            named = {mention.observation for mention in mentions}
            if len(named) == 1 and all(mention.state is State.POSITIVE for mention in mentions):
                found.setdefault(named.pop(), Counter())[text.rstrip(".") + "."] += 1
    return {name: _shares(counts, count) for name, counts in found.items()}


def _shares(counts: Counter[str], count: int) -> tuple[Wording, ...]:
    chosen = sorted(counts.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:count]
    total = sum(number for _, number in chosen)
    return tuple(Wording(text, number / total) for text, number in chosen)
