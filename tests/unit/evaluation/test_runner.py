import json

import pytest

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.evaluation import runner
from radlet.evaluation.runner import draft_all

QUIET = Progress(quiet=True)


class Writer:
    """Drafts `draft <row>` and remembers which rows it was asked for; stops with an error when told to."""

    def __init__(self, stop_at=None):
        self.asked, self.stop_at = [], stop_at

    def __call__(self, rows):
        if self.stop_at is not None and rows[0] >= self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(list(rows))
        return [f"draft {row}\u2028é" for row in rows]


@pytest.fixture
def examples(example, monkeypatch):
    monkeypatch.setattr(runner, "_CHUNK_ROWS", 4)
    return [example(i, f"reference {i}") for i in range(10)]


def collect(path, examples, writer):
    return draft_all(path, examples, [row.target for row in examples], writer, QUIET)


def test_writes_rows_that_score_reads(tmp_path, examples):
    path = tmp_path / "predictions.jsonl"
    assert collect(path, examples, Writer()) == [f"draft {row}\u2028é" for row in range(10)]
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert rows[3] == {
        "id": "e3",
        "patient_id": "p3",
        "reference": "reference 3",
        "prediction": "draft 3\u2028é",
    }


@pytest.mark.parametrize("torn", ["", '{"id": "e8", "pati', '{"id": "e8"}\n'])
def test_goes_on_after_a_kill_in_the_same_batches(tmp_path, examples, torn):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    collect(whole, examples, Writer())
    with pytest.raises(KeyboardInterrupt):
        collect(killed, examples, Writer(stop_at=8))
    killed.write_text(killed.read_text(encoding="utf-8") + torn, encoding="utf-8")
    again = Writer()
    collect(killed, examples, again)
    assert again.asked == [[8, 9]]
    assert killed.read_bytes() == whole.read_bytes()


def test_a_finished_file_is_not_drafted_again(tmp_path, examples):
    path = tmp_path / "predictions.jsonl"
    first = collect(path, examples, Writer())
    again = Writer()
    assert collect(path, examples, again) == first
    assert again.asked == []


def test_refuses_drafts_of_other_examples(tmp_path, examples):
    path = tmp_path / "predictions.jsonl"
    collect(path, examples, Writer())
    with pytest.raises(DataError, match="drafts of other examples"):
        collect(path, examples[::-1], Writer())


def test_refuses_too_few_drafts(tmp_path, examples):
    with pytest.raises(DataError, match="1 drafts for 4 examples"):
        collect(tmp_path / "x.jsonl", examples, lambda rows: ["one"])
