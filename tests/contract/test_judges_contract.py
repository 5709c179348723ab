"""What every judge promises, over the whole registry: a judgement for each pair in order, or a reason for none."""

import json

import pytest
from tests.fixtures.scripted_server import completion, given_text, serve

from radlet.core.config import load_config
from radlet.core.console import Progress
from radlet.evaluation import JUDGES
from radlet.evaluation.judging import JudgeSettings
from radlet.metrics.judging import Judge, ReportPair
from radlet.metrics.rule_judge import ERROR_KINDS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PAIRS = [
    ReportPair(id="same", reference="Small left pleural effusion.", draft="Small left pleural effusion."),
    ReportPair(id="missed", reference="Large pneumothorax.", draft="The lungs are clear."),
    ReportPair(id="silent", reference="", draft="Cardiomegaly."),
    ReportPair(id="odd", reference="Édème pulmonaire \u2028 \x00.", draft="{}\n" * 50, age=80, indication="s/p CABG"),
]


def answer(question, _):
    draft = json.loads(given_text(question))["draft"]
    missed = {"kind": "missing_finding", "finding": "Large pneumothorax", "significant": True}
    return completion({"errors": [missed] if "clear" in draft else []})


@pytest.fixture
def settings(tmp_path):
    """Settings that a judge cannot do without."""
    with serve(answer) as server:
        model = {"name": "scripted", "output": "json_schema"}
        yield {"llm": {"model": model, "server": {"url": server.url}, "runs_dir": tmp_path, "samples": 1}}


@pytest.mark.parametrize("kind", list(JUDGES))
def test_a_judgement_for_each_pair_or_a_reason_for_none(kind, settings):
    judge = load_config(JudgeSettings, None, judge={"kind": kind, **settings.get(kind, {})}).judge
    assert isinstance(judge, Judge)
    reports = list(judge.judge(PAIRS, Progress(quiet=True)))
    assert [report.id for report in reports] == [pair.id for pair in PAIRS]
    for report in reports:
        assert (report.counts is None) == (report.missing is not None)
        assert report.counts is None or tuple(report.counts) == ERROR_KINDS
    same, missed = reports[:2]
    assert all(count.significant == count.insignificant == 0 for count in same.counts.values())
    assert missed.counts["missing_finding"].significant == 1
    assert list(judge.judge([], Progress(quiet=True))) == []
