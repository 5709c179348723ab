"""Read which of the CheXpert observations a report states, denies or hedges, and on which side.

Stands behind `build` (labels), the metrics (observation F1) and the command `label`. A sentence becomes a list of
events (`data.lexicon`), read once from left to right: a negation or a hedge reaches forward to the end of its clause
or list, its after-placed forms reach back, and heart and mediastinum become mentions through the word for normal or
enlarged that goes with them. `docs/labels.md` tells the conventions and how well they agree with a gold standard.

Method after NegEx (Chapman et al. 2001) and the CheXpert labeller (Irvin et al. 2019); all rules are our own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from radlet.core.records import OBSERVATIONS, Side, State
from radlet.data.lexicon import EVENT, MENTION_KINDS, PUNCTUATION, SEVERITIES, STRUCTURE_KINDS
from radlet.data.sidedness import Event, Severity, assign_sides, severity_before

_SENTENCE = re.compile(r"(?:[^.!?\n]|(?<=\bvs)\.|\.(?=\d)|\n(?!\s*(?:\n|\d{1,2}[.)]|[-*\u2022])))+")
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_STRENGTH = {State.UNMENTIONED: 0, State.NEGATIVE: 1, State.UNCERTAIN: 2, State.POSITIVE: 3}
_WITHOUT_SIDE = ("Cardiomegaly", "Enlarged Cardiomediastinum")
_MAX_SENTENCE = 2000
"""Characters of a sentence that are read together; longer ones are text without stops, cut so that time stays linear."""


@dataclass(frozen=True)
class Mention:
    """One place of a text that speaks of an observation; `start` and `end` are character offsets into the text."""

    observation: str
    state: State
    side: Side | None
    severity: Severity | None
    start: int
    end: int


def find_mentions(text: str) -> list[Mention]:
    """Return every mention in the order of the text; "No Finding" is a conclusion, not a mention, and never among them."""
    mentions = []
    for start, sentence in _sentences(text):
        for mention in _read(sentence):
            mentions.append(replace(mention, start=mention.start + start, end=mention.end + start))
    return mentions


def label_report(text: str) -> dict[str, State]:
    """Return the state of each of the 14 observations.

    Of several mentions the strongest counts: positive, then uncertain, then negative. "No Finding" is POSITIVE when
    nothing but support devices is positive or uncertain (so also for a text that mentions nothing), else UNMENTIONED.
    """
    states = dict.fromkeys(OBSERVATIONS, State.UNMENTIONED)
    for _, sentence in _sentences(text):
        for mention in _read(sentence):
            if _STRENGTH[mention.state] > _STRENGTH[states[mention.observation]]:
                states[mention.observation] = mention.state
    found = any(_STRENGTH[state] > 1 for name, state in states.items() if name != "Support Devices")
    if not found:
        states["No Finding"] = State.POSITIVE
    return states


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    lowered = text.translate(_LOWER)
    for match in _SENTENCE.finditer(lowered):
        sentence, start = match.group(), match.start()
        for cut in range(0, len(sentence), _MAX_SENTENCE):
            yield start + cut, sentence[cut : cut + _MAX_SENTENCE].replace("\n", " ")


@lru_cache(maxsize=20_000)
def _read(sentence: str) -> tuple[Mention, ...]:
    """Return the mentions of a lower-cased sentence; cached because reports repeat their sentences."""
    events = [
        Event(match.lastgroup or PUNCTUATION[match.group()], match.start(), match.end())
        for match in EVENT.finditer(sentence)
    ]
    indices = [index for index, event in enumerate(events) if event.kind in MENTION_KINDS]
    if not indices and not any(event.kind in STRUCTURE_KINDS for event in events):
        return ()
    states = _Reading(events).states()
    sides = assign_sides(events, indices, len(sentence))
    mentions = [
        _mention(events, index, MENTION_KINDS[events[index].kind], states[index], sides[index])
        for index in indices
        if states[index] is not State.UNMENTIONED
    ]
    mentions += _structures(sentence, events)
    return tuple(sorted(mentions, key=lambda mention: (mention.start, mention.end)))


def _mention(events: Sequence[Event], index: int, observation: str, state: State, side: Side | None) -> Mention:
    event = events[index]
    side = None if observation in _WITHOUT_SIDE else side
    return Mention(observation, state, side, severity_before(events, index), event.start, event.end)


@dataclass
class _Reading:
    """What holds at the current event of a sentence, and the state of each mention so far (by index of its event)."""

    events: Sequence[Event]
    found: dict[int, State] = field(default_factory=dict)
    clause: list[int] = field(default_factory=list)
    """Mentions of the current clause that nothing placed after them has claimed yet."""
    holds: State = State.POSITIVE
    """State of the next mention; UNMENTIONED where the text asks or remembers."""
    reached: bool = False
    """Whether a mention stood since what holds began to hold."""

    def states(self) -> dict[int, State]:
        """Read all events; a mention that is asked for or remembered is UNMENTIONED."""
        for index, event in enumerate(self.events):
            if event.kind in MENTION_KINDS:
                self.found[index] = self.holds
                self.clause.append(index)
                self.reached = True
            elif (act := _ACTS.get(event.kind)) is not None:
                act(self, index)
        return self.found

    def begin(self, state: State) -> None:
        """Let a state hold from here on."""
        self.holds, self.reached = state, False

    def stop(self, _: int) -> None:
        """End a clause."""
        self.begin(State.POSITIVE)
        self.clause = []

    def negate(self, _: int) -> None:
        """Begin a negation."""
        self.begin(State.NEGATIVE)

    def ask(self, _: int) -> None:
        """Begin a question or a memory, unless the finding itself is denied."""
        if self.holds is not State.NEGATIVE or self.reached:
            self.begin(State.UNMENTIONED)

    def hedge(self, _: int) -> None:
        """Begin a hedge; within a denial ("no opacity to suggest pneumonia") the denial goes on."""
        if self.holds not in (State.NEGATIVE, State.UNMENTIONED):
            self.begin(State.UNCERTAIN)

    def weigh(self, index: int) -> None:
        """Read "versus": both sides of it are uncertain."""
        if self.holds is not State.NEGATIVE:
            self.claim(index, State.UNCERTAIN, State.POSITIVE)
            self.begin(State.UNCERTAIN)

    def choose(self, index: int) -> None:
        """Read "or": between two things that are asserted, both are uncertain."""
        if self.holds is State.POSITIVE and index > 0 and self.events[index - 1].kind in MENTION_KINDS:
            self.weigh(index)

    def accompany(self, _: int) -> None:
        """Read "with": what is denied or hedged before it does not reach past it."""
        if self.reached:
            self.begin(State.POSITIVE)

    def separate(self, index: int) -> None:
        """Read a comma or "and": a list goes on, a new statement does not."""
        if self.reached and self.holds is not State.POSITIVE and not self._list_goes_on(index):
            self.stop(index)

    def deny_back(self, index: int) -> None:
        """Read "has resolved": deny what stands before it, or what follows when nothing does."""
        if not self.claim(index, State.NEGATIVE, None):
            self.negate(index)

    def hedge_back(self, index: int) -> None:
        """Read "cannot be excluded": hedge what stands before it, or what follows when nothing does."""
        if not self.claim(index, State.UNCERTAIN, None):
            self.begin(State.UNCERTAIN)

    def claim(self, index: int, state: State, only: State | None) -> bool:
        """Give a state to the nearest mention before and those joined to it; tell whether there was one."""
        if not self.clause:
            return False
        joints = ("or",) if state is State.UNCERTAIN else ("or", "and")
        last = self.clause[-1]
        joined = [last]
        for earlier in reversed(self.clause[:-1]):
            between = {event.kind for event in self.events[earlier + 1 : joined[-1]]}
            listed = "comma" in between and len(joined) > 1
            if "with" in between or not (between & set(joints) or listed):
                break
            joined.append(earlier)
        for mention in joined if only is None else [last]:
            if only is None or self.found[mention] is only:
                self.found[mention] = state
        self.clause = []
        return True

    def _list_goes_on(self, index: int) -> bool:
        """Tell whether what holds reaches past a comma or an "and"."""
        rest: list[str] = []
        for event in self.events[index + 1 :]:
            if event.kind in ("stop", "with", "negation", "hedge", "question", "versus"):
                break
            rest.append(event.kind)
        if self.events[index].kind == "comma" and "or" in rest:
            return True
        part = rest[: next((i for i, kind in enumerate(rest) if kind in ("comma", "and")), len(rest))]
        if any(kind in ("affirmed", "mild", "moderate", "after_negation", "after_hedge") for kind in part):
            return False
        if any(kind in STRUCTURE_KINDS or kind in ("normal", "abnormal") for kind in part):
            return False
        return True


_ACTS = {
    "stop": _Reading.stop,
    "negation": _Reading.negate,
    "after_negation": _Reading.deny_back,
    "question": _Reading.ask,
    "hedge": _Reading.hedge,
    "after_hedge": _Reading.hedge_back,
    "versus": _Reading.weigh,
    "or": _Reading.choose,
    "and": _Reading.separate,
    "comma": _Reading.separate,
    "with": _Reading.accompany,
}


def _structures(sentence: str, events: Sequence[Event]) -> Iterator[Mention]:
    """Yield what the sentence says of heart, mediastinum and bones by a word for normal or enlarged."""
    for index, event in enumerate(events):
        if event.kind not in STRUCTURE_KINDS or (word := _predicate(events, index)) is None:
            continue
        observations = STRUCTURE_KINDS[event.kind]
        predicate = events[word]
        is_normal = predicate.kind == "normal"
        if "Fracture" in observations and sentence[predicate.start : predicate.end] != "intact":
            continue
        denied = _denied(events, word)
        if is_normal and denied:
            continue
        state = State.NEGATIVE if is_normal or denied else State.POSITIVE
        for observation in observations:
            yield Mention(
                observation,
                state,
                None,
                None if is_normal else severity_before(events, word),
                min(event.start, predicate.start),
                max(event.end, predicate.end),
            )


def _denied(events: Sequence[Event], index: int) -> bool:
    before = [event.kind for event in events[max(0, index - 2) : index] if event.kind not in SEVERITIES]
    return bool(before) and before[-1] == "negation"


def _predicate(events: Sequence[Event], index: int) -> int | None:
    """Return the index of the word for normal or enlarged that goes with a structure."""
    words = ("normal", "abnormal")
    if index > 0 and events[index - 1].kind in words and events[index].start - events[index - 1].end <= 4:
        return index - 1
    for later in range(index + 1, len(events)):
        kind = events[later].kind
        if kind in words:
            return later
        if kind == "stop" or kind in MENTION_KINDS:
            break
    for earlier in range(index - 1, -1, -1):
        kind = events[earlier].kind
        if kind in words:
            return earlier
        if kind not in STRUCTURE_KINDS and kind not in ("comma", "and", "or"):
            break
    return None
