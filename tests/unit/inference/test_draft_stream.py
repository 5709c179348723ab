from collections.abc import Hashable
from pathlib import Path

import pytest

from radlet.core.errors import ConfigError, DataError
from radlet.data.images import read_film
from radlet.inference.draft_stream import DraftStream, Prepared, Wanted, prepare
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.models.report_model import ReportModel

LENGTHS = (24, 5, 17, 1, 30, 24, 9, 12)


@pytest.fixture(params=[1.0, 3.0], ids=["plain", "guided"])
def drafter(request: pytest.FixtureRequest, tiny_report_model: ReportModel) -> Drafter:
    card = tiny_report_model.card.model_copy(update={"guidance": request.param})
    return Drafter(ReportModel(tiny_report_model.model, tiny_report_model.tokenizer, card))


def asked(drafter: Drafter, films: list[Path]) -> dict[Hashable, tuple[DraftRequest, Sampling]]:
    reasons = [None, "Cough.", "Fever and a productive cough for three weeks, evaluate for pneumonia."]
    return {
        number: (
            DraftRequest((film,), reasons[number % 3]),
            drafter.own_sampling.model_copy(update={"max_new_tokens": LENGTHS[number]}),
        )
        for number, film in enumerate(films)
    }


def ready(
    drafter: Drafter, requests: dict[Hashable, tuple[DraftRequest, Sampling]], *keys: Hashable
) -> dict[Hashable, Prepared]:
    return {key: prepare(drafter, Wanted(*requests[key])) for key in keys}


def take(stream: DraftStream, texts: dict[Hashable, str], steps: int = 1000) -> None:
    while len(stream) and steps:
        for piece in stream.step():
            texts[piece.key] = texts.get(piece.key, "") + piece.text
        steps -= 1


def test_what_is_written_does_not_depend_on_who_comes_and_goes(drafter: Drafter, tiny_films: list[Path]) -> None:
    requests = asked(drafter, tiny_films)
    alone = {key: drafter.draft([request], sampling)[0] for key, (request, sampling) in requests.items()}
    stream, texts = DraftStream(drafter, max_rows=8), {}
    for first, steps in ((0, 3), (2, 1), (4, 7), (6, 1000)):
        stream.admit(ready(drafter, requests, first, first + 1))
        take(stream, texts, steps)
    assert texts == alone
    assert len(set(alone.values())) > 4


def test_a_long_service_does_not_grow(drafter: Drafter, tiny_films: list[Path]) -> None:
    """A row that leaves takes its room along, though there is always another one under way."""
    requests, stream = asked(drafter, tiny_films), DraftStream(drafter, max_rows=2)
    widths = []
    for number in range(40):
        request, _ = requests[number % 8]
        stream.admit(
            {number: prepare(drafter, Wanted(request, drafter.own_sampling.model_copy(update={"max_new_tokens": 12})))}
        )
        take(stream, {}, 6)
        reader = stream._writing._reader
        widths.append(getattr(reader, "_seeing", reader)._length)
    assert max(widths[20:]) <= max(widths[:20])


def test_a_dropped_draft_leaves_the_others_alone(drafter: Drafter, tiny_films: list[Path]) -> None:
    requests, texts = asked(drafter, tiny_films), {}
    stream = DraftStream(drafter, max_rows=4)
    stream.admit(ready(drafter, requests, 0, 2, 4))
    take(stream, texts, 4)
    stream.drop([2])
    take(stream, texts)
    assert texts[0] == drafter.draft([requests[0][0]], requests[0][1])[0]
    assert texts[4] == drafter.draft([requests[4][0]], requests[4][1])[0]
    stream.admit(ready(drafter, requests, 2))
    stream.drop([2])
    assert len(stream) == 0
    assert stream.step() == []


def test_it_says_why_a_draft_ended(drafter: Drafter, tiny_films: list[Path]) -> None:
    request = DraftRequest((tiny_films[0],))
    stream = DraftStream(drafter, max_rows=4)
    stream.admit(
        {"cut": prepare(drafter, Wanted(request, drafter.own_sampling.model_copy(update={"max_new_tokens": 3})))}
    )
    assert [piece.ended for _ in range(3) for piece in stream.step()] == [None, None, "length"]


def test_an_unreadable_film_and_other_guidance_are_refused(drafter: Drafter, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prepare(drafter, Wanted(DraftRequest((tmp_path / "none.png",)), drafter.own_sampling))
    with pytest.raises(ConfigError, match="guidance"):
        prepare(drafter, Wanted(DraftRequest(()), Sampling(guidance=7.0)))


def test_an_engine_that_takes_no_joiners_is_full_while_it_writes(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(drafter.engine), "joins", False)
    stream = DraftStream(drafter, max_rows=4)
    stream.admit(ready(drafter, asked(drafter, tiny_films), 0))
    assert stream.room == 0
    take(stream, {})
    assert stream.room == 4


def test_an_engine_that_writes_whole_answers_is_told_whole(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, texts = asked(drafter, tiny_films), {}
    expected = drafter.draft([requests[0][0]], requests[0][1])[0]
    monkeypatch.setattr(type(drafter.engine), "features", frozenset({"sampling", "guidance"}))
    stream = DraftStream(drafter, max_rows=4)
    stream.admit(ready(drafter, requests, 0))
    assert (len(stream), stream.room) == (1, 0)
    take(stream, texts)
    assert texts == {0: expected}


def test_an_engine_that_writes_whole_answers_writes_each_in_its_own_way(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, own = DraftRequest((tiny_films[0],)), drafter.own_sampling.model_copy(update={"max_new_tokens": 12})
    ways = [own, own.model_copy(update={"temperature": 2.0, "max_new_tokens": 30}), own]
    ways.append(own.model_copy(update={"temperature": 2.0, "seed": 3}))
    alone = [drafter.draft([request], sampling)[0] for sampling in ways]
    monkeypatch.setattr(type(drafter.engine), "features", frozenset({"sampling", "guidance"}))
    stream, texts = DraftStream(drafter, max_rows=4), {}
    stream.admit({number: prepare(drafter, Wanted(request, sampling)) for number, sampling in enumerate(ways)})
    take(stream, texts)
    assert texts == dict(enumerate(alone))


def test_a_text_that_is_told_whole_comes_with_its_last_token(drafter: Drafter, tiny_films: list[Path]) -> None:
    request = DraftRequest((tiny_films[0],))
    films = (read_film(tiny_films[0]).pixels,)
    sampling = drafter.own_sampling.model_copy(update={"max_new_tokens": 9})
    stream = DraftStream(drafter, max_rows=2)
    stream.admit({"whole": prepare(drafter, Wanted(request.without_films(), sampling, whole=True))})
    pieces = [piece for _ in range(9) for piece in stream.step()]
    assert {piece.text for piece in pieces[:-1]} <= {""}
    assert pieces[-1].text == drafter.draft([request.without_films()], sampling)[0]
    # Films that were read already are what the request's files would have been.
    given, read = (prepare(drafter, Wanted(request, sampling, shown)).pixel_values for shown in (films, None))
    assert given is not None
    assert read is not None
    assert given.equal(read)


def test_what_is_longer_than_the_model_reads_is_refused_and_its_own_length_is_cut(drafter: Drafter) -> None:
    longest = drafter.max_positions
    assert longest is not None
    own = drafter.own_sampling.model_copy(update={"max_new_tokens": drafter.card.max_new_tokens})
    short = DraftRequest((), question="lung")
    num_prompt_tokens = len(drafter.prompt_ids(short))
    with pytest.raises(ConfigError, match="fewer words"):
        prepare(drafter, Wanted(DraftRequest((), question="lung " * longest), own))
    room = longest - num_prompt_tokens
    for length, taken in ((room, True), (room + 1, False)):
        wanted = Wanted(short, own.model_copy(update={"max_new_tokens": length}))
        if taken:
            assert prepare(drafter, wanted).sampling.max_new_tokens == length
        else:
            with pytest.raises(ConfigError, match=f"at most {room}"):
                prepare(drafter, wanted)
    words = "lung"
    while len(drafter.prompt_ids(DraftRequest((), question=words))) < longest - 3:
        words += " l"
    long = DraftRequest((), question=words)
    assert prepare(drafter, Wanted(long, own)).sampling.max_new_tokens == longest - len(drafter.prompt_ids(long))
