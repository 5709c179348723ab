"""How the training reports say that an observation is there: the sentences whose likelihood tells its probability."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from radlet.core.records import Side, State
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
        count: Most wordings of an observation, in turns of those that name each side and none; of equally frequent
            ones the shorter is taken.
    """
    found: dict[str, dict[Side | None, Counter[str]]] = {}
    for target in targets:
        for start, sentence in sentences(target):
            text = target[start : start + len(sentence)].strip()
            mentions = find_mentions(text) if text and len(text) <= _MAX_CHARS else []
            named = {mention.observation for mention in mentions}
            if len(named) == 1 and all(mention.state is State.POSITIVE for mention in mentions):
                sides = found.setdefault(named.pop(), {})
                sides.setdefault(mentions[0].side, Counter())[text.rstrip(".") + "."] += 1
    return {name: _shares(counts, count) for name, counts in found.items()}


def _shares(sides: dict[Side | None, Counter[str]], count: int) -> tuple[Wording, ...]:
    """Choose in turns, the most frequent of each side first: else a finding of the rarer side would have no wording."""
    ranked = [sorted(one.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:count] for one in sides.values()]
    turns = [(turn, -number, text) for one in ranked for turn, (text, number) in enumerate(one)]
    chosen = sorted(turns)[:count]
    total = -sum(number for _, number, _ in chosen)
    return tuple(Wording(text, -number / total) for _, number, text in chosen)
