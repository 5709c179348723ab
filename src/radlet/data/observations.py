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
from radlet.core.statements import Severity
from radlet.data.lexicon import OBSERVATION_GRAMMAR, PUNCTUATION, SEVERITIES, SIDES, Grammar
from radlet.data.sidedness import Event, assign_sides, severity_before

_SENTENCE = re.compile(
    r"(?:[^.!?\n]|(?<=\bvs)\.|\.(?=\d)|(?<![^\s(,])\?(?=[ a-z])|\n(?![ \t\r]*(?:\n|\d{1,2}[.)]|[-*\u2022])))+\??"
)
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_STRENGTH = {State.UNMENTIONED: 0, State.NEGATIVE: 1, State.UNCERTAIN: 2, State.POSITIVE: 3}
_PREDICATES = ("normal", "borderline", "abnormal")
_NEW_STATEMENT = ("affirmed", "after_negation", "after_hedge", *SEVERITIES, *SIDES, *_PREDICATES)
"""Kinds of events after a comma that show a statement of its own rather than the next item of a denied list."""
_WITHOUT_SIDE = ("Cardiomegaly", "Enlarged Cardiomediastinum")
_MAX_SENTENCE = 2000
"""Characters of a sentence read together; a longer one is text without stops, cut so that time stays linear."""


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
    """Return every mention in the order of the text, never "No Finding", which is a conclusion and not a mention."""
    return [
        replace(mention, start=mention.start + start, end=mention.end + start)
        for start, sentence in sentences(text)
        for mention in _read(sentence)
    ]


def label_report(text: str) -> dict[str, State]:
    """Return the state of each of the 14 observations.

    Of several mentions the strongest counts: positive, then uncertain, then negative. "No Finding" is POSITIVE when
    nothing but support devices is positive or uncertain (so also for a text that mentions nothing), else UNMENTIONED.
    """
    states = dict.fromkeys(OBSERVATIONS, State.UNMENTIONED)
    for _, sentence in sentences(text):
        for mention in _read(sentence):
            if _STRENGTH[mention.state] > _STRENGTH[states[mention.observation]]:
                states[mention.observation] = mention.state
    found = any(_STRENGTH[state] > 1 for name, state in states.items() if name != "Support Devices")
    if not found:
        states["No Finding"] = State.POSITIVE
    return states


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a text, lower-cased, with their places in it."""
    lowered = text.translate(_LOWER)
    for match in _SENTENCE.finditer(lowered):
        sentence, start = match.group(), match.start()
        for cut in range(0, len(sentence), _MAX_SENTENCE):
            yield start + cut, sentence[cut : cut + _MAX_SENTENCE].replace("\n", " ")


@lru_cache(maxsize=20_000)
def _read(sentence: str) -> tuple[Mention, ...]:
    """Return the mentions of a lower-cased sentence; cached because reports repeat their sentences."""
    return tuple(read_sentence(sentence, OBSERVATION_GRAMMAR)[1])


def read_sentence(sentence: str, grammar: Grammar) -> tuple[list[Event], list[Mention]]:
    """Return the events of a lower-cased sentence and what it mentions, in order, by a grammar's own names."""
    events = [
        Event(match.lastgroup or _mark(match, len(sentence)), match.start(), match.end())
        for match in grammar.event.finditer(sentence)
    ]
    indices = [index for index, event in enumerate(events) if event.kind in grammar.mentions]
    if not indices and not any(event.kind in grammar.structures for event in events):
        return events, []
    states = _Reading(events, grammar).states()
    company = {index: _company(grammar, grammar.mentions[events[index].kind], states[index]) for index in indices}
    sides = assign_sides(events, company, len(sentence))
    mentions = [
        _mention(events, index, grammar.mentions[events[index].kind], states[index], sides[index])
        for index in indices
        if states[index] is not State.UNMENTIONED
    ]
    mentions += _structures(sentence, events, grammar)
    return events, sorted(mentions, key=lambda mention: (mention.start, mention.end))


def _mark(match: re.Match[str], length: int) -> str:
    """Name a punctuation mark; one that asks at the end of a sentence hedges what stands before it."""
    return "after_hedge" if match.group() == "?" and match.end() == length else PUNCTUATION[match.group()]


def _mention(events: Sequence[Event], index: int, observation: str, state: State, side: Side | None) -> Mention:
    event = events[index]
    side = None if observation in _WITHOUT_SIDE else side
    return Mention(observation, state, side, severity_before(events, index), event.start, event.end)


def _company(grammar: Grammar, name: str, state: State) -> str:
    """Name what a mention may share a side with: not a tube with a lung, nor what is there with what is not."""
    return grammar.apart.get(name) or ("denied" if state is State.NEGATIVE else "stated")


@dataclass
class _Reading:
    """What holds at the current event of a sentence, and the state of each mention so far (by index of its event)."""

    events: Sequence[Event]
    grammar: Grammar
    found: dict[int, State] = field(default_factory=dict)
    clause: list[int] = field(default_factory=list)
    """Mentions of the current clause that nothing placed after them has claimed yet."""
    holds: State = State.POSITIVE
    """State of the next mention; UNMENTIONED where the text asks or remembers."""
    reached: bool = False
    """Whether a mention stood since what holds began to hold."""
    whole: bool = False
    """Whether what holds reaches to the end of the clause, whatever the list looks like."""

    def states(self) -> dict[int, State]:
        """Read all events; a mention that is asked for or remembered is UNMENTIONED."""
        for index, event in enumerate(self.events):
            if event.kind in self.grammar.mentions:
                self.found[index] = self.holds
                self.clause.append(index)
                self.reached = True
            elif (act := _ACTS.get(event.kind)) is not None:
                act(self, index)
        return self.found

    def begin(self, state: State) -> None:
        """Let a state hold from here on."""
        self.holds, self.reached, self.whole = state, False, False

    def stop(self, _: int) -> None:
        """End a clause."""
        self.begin(State.POSITIVE)
        self.clause = []

    def introduce(self, _: int) -> None:
        """Read a colon: a new statement, which may still deny the one before it ("Effusion: none")."""
        self.begin(State.POSITIVE)

    def keep(self, _: int) -> None:
        """Begin what a denied change states; "no change in effusion or edema" leaves neither in doubt."""
        self.begin(State.POSITIVE)
        self.whole = True

    def differ(self, index: int) -> None:
        """Begin a list of guesses."""
        self.hedge(index)
        self.whole = self.holds is State.UNCERTAIN

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

    def weigh(self, _: int) -> None:
        """Read "versus": both sides of it are uncertain."""
        if self.holds is State.NEGATIVE:
            return
        if self.clause and self.found[self.clause[-1]] is State.POSITIVE:
            self.found[self.clause[-1]] = State.UNCERTAIN
        self.begin(State.UNCERTAIN)

    def choose(self, index: int) -> None:
        """Read "or": of two observations between which the text does not decide, both are uncertain.

        "Atelectasis or scarring" is read as atelectasis, as scarring is no observation.
        """
        after = [event.kind for event in self.events[index + 1 :] if event.kind not in (*SEVERITIES, *SIDES, "place")]
        between = (
            index > 0
            and self.events[index - 1].kind in self.grammar.mentions
            and after[:1]
            and after[0] in self.grammar.mentions
        )
        if self.holds is State.POSITIVE and between and not self.whole:
            self.weigh(index)

    def accompany(self, _: int) -> None:
        """Read "with": what is denied or hedged before it does not reach past it."""
        if self.reached:
            self.begin(State.POSITIVE)

    def separate(self, index: int) -> None:
        """Read a comma or "and": a list goes on, a new statement does not."""
        if self.whole or not self.reached or self.holds is State.POSITIVE:
            return
        if not self._list_goes_on(index):
            self.stop(index)

    def deny_back(self, _: int) -> None:
        """Read "has resolved": deny what stands before it, or what follows when nothing does."""
        if not self.claim(State.NEGATIVE):
            self.begin(State.NEGATIVE)

    def hedge_back(self, _: int) -> None:
        """Read "cannot be excluded": hedge what stands before it, or what follows when nothing does."""
        if not self.claim(State.UNCERTAIN):
            self.begin(State.UNCERTAIN)

    def claim(self, state: State) -> bool:
        """Give a state to the nearest mention before and those joined to it; tell whether there was one."""
        if not self.clause:
            return False
        joints = ("or",) if state is State.UNCERTAIN else ("or", "and")
        joined = [self.clause[-1]]
        for earlier in reversed(self.clause[:-1]):
            between = {event.kind for event in self.events[earlier + 1 : joined[-1]]}
            listed = "comma" in between and len(joined) > 1
            if between & {"with", "affirmed"} or not (between & set(joints) or listed):
                break
            joined.append(earlier)
        self.found |= dict.fromkeys(joined, state)
        self.clause = []
        return True

    def _list_goes_on(self, index: int) -> bool:
        """Tell whether what holds reaches past a comma or an "and"."""
        rest: list[str] = []
        for event in self.events[index + 1 :]:
            if event.kind in ("stop", "colon", "with", "negation", "hedge", "question", "versus"):
                break
            rest.append(event.kind)
        if self.events[index].kind == "comma" and "or" in rest:
            return True
        part = rest[: next((i for i, kind in enumerate(rest) if kind in ("comma", "and")), len(rest))]
        return not any(kind in _NEW_STATEMENT or kind in self.grammar.structures for kind in part)


_ACTS = {
    "stop": _Reading.stop,
    "colon": _Reading.introduce,
    "no_change": _Reading.keep,
    "differential": _Reading.differ,
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


def _structures(sentence: str, events: Sequence[Event], grammar: Grammar) -> Iterator[Mention]:
    """Yield what the sentence says of heart, mediastinum and bones by a word for normal or enlarged."""
    for index, event in enumerate(events):
        if event.kind not in grammar.structures or (word := _predicate(events, index, grammar)) is None:
            continue
        observations, predicate = grammar.structures[event.kind], events[word]
        state = _predicate_state(events, word)
        # Of bones only "intact" denies a fracture; normal ones may still be broken in the next sentence.
        if state is None or ("Fracture" in observations and sentence[predicate.start : predicate.end] != "intact"):
            continue
        severity = severity_before(events, word) if state is State.POSITIVE else None
        start, end = min(event.start, predicate.start), max(event.end, predicate.end)
        for observation in observations:
            yield Mention(observation, state, None, severity, start, end)


def _predicate_state(events: Sequence[Event], index: int) -> State | None:
    """Return what a word for normal or enlarged says; None for "not normal", which names nothing."""
    if events[index].kind == "normal":
        return None if _denied(events, index) else State.NEGATIVE
    if _denied(events, index):
        return State.NEGATIVE
    hedged = events[index].kind == "borderline" or any(event.kind == "hedge" for event in events[:index])
    return State.UNCERTAIN if hedged else State.POSITIVE


def _denied(events: Sequence[Event], index: int) -> bool:
    before = [event.kind for event in events[max(0, index - 2) : index] if event.kind not in SEVERITIES]
    return bool(before) and before[-1] == "negation"


def _predicate(events: Sequence[Event], index: int, grammar: Grammar) -> int | None:
    """Return the index of the word for normal or enlarged that goes with a structure."""
    if index > 0 and events[index - 1].kind in _PREDICATES and events[index].start - events[index - 1].end <= 4:
        return index - 1
    for later in range(index + 1, len(events)):
        kind = events[later].kind
        if kind in _PREDICATES:
            return later
        if kind == "stop" or kind in grammar.mentions:
            break
    for earlier in range(index - 1, -1, -1):
        kind = events[earlier].kind
        if kind in _PREDICATES:
            return earlier
        if kind not in grammar.structures and kind not in ("comma", "and", "or"):
            break
    return None
