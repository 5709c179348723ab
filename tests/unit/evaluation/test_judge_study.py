"""Judge studies: known judges, a case worked by hand, missing judgements, and what files are refused."""

import csv
import json
import math

import numpy as np
import pytest

from radlet.core.errors import DataError
from radlet.evaluation.expert_counts import long_rows, read_study_files
from radlet.evaluation.judge_study import study_files
from radlet.evaluation.judge_study_page import render_study_page, study_lines
from radlet.metrics import METRICS
from radlet.metrics.judging import ErrorCount
from radlet.metrics.rule_judge import ERROR_KINDS


def counts(**listed):
    """Return counts of every kind; `missing_finding=(1, 2)`: one significant, two not."""
    cells = {kind: listed.get(kind, (0, 0)) for kind in ERROR_KINDS}
    return {kind: ErrorCount(significant=cell[0], insignificant=cell[1]) for kind, cell in cells.items()}


def plain(table):
    return {kind: count.model_dump() for kind, count in table.items()}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_experts(path, totals):
    """Write counts of missing findings, all significant: expert -> count of each report."""
    return write_rows(
        path,
        [
            row
            for expert, numbers in totals.items()
            for index, number in enumerate(numbers)
            if number is not None
            for row in long_rows(f"r{index}", f"p{index}", expert, counts(missing_finding=(number, 0)))
        ],
    )


def write_judge(path, numbers):
    rows = [
        {"id": f"r{index}", "score": None, "counts": None, "missing": "timeout"}
        if number is None
        else {"id": f"r{index}", "score": None, "counts": plain(counts(missing_finding=(number, 0))), "errors": []}
        for index, number in enumerate(numbers)
    ]
    return write_rows(path, rows)


def study(tmp_path, totals, **judges):
    files = [write_experts(tmp_path / "experts.jsonl", totals)]
    files += [write_judge(tmp_path / f"{name}.jsonl", numbers) for name, numbers in judges.items()]
    return study_files(files, num_resamples=50)


TRUTH = [0, 1, 2, 3, 4, 5, 1, 2]
EXPERTS = {"a": TRUTH, "b": TRUTH, "c": [n + (i % 2) for i, n in enumerate(TRUTH)]}


def test_a_perfect_a_reversed_and_a_constant_judge(tmp_path):
    totals = {"a": TRUTH, "b": TRUTH}
    result = study(tmp_path, totals, right=TRUTH, wrong=[9 - n for n in TRUTH], same=[1] * 8)
    figures = {name: one.agreement["total"]["significant"] for name, one in result.judges.items()}
    assert (figures["right"]["tau"].judge.value, figures["right"]["rho"].judge.value) == pytest.approx((1, 1))
    assert figures["right"]["mean_difference"].judge.value == 0
    assert (figures["wrong"]["tau"].judge.value, figures["wrong"]["rho"].judge.value) == pytest.approx((-1, -1))
    assert figures["same"]["tau"].judge.value is None
    assert figures["same"]["tau"].difference.value is None
    assert figures["same"]["mean_difference"].judge.value == pytest.approx(np.abs(np.array(TRUTH) - 1).mean())
    assert figures["right"]["tau"].experts.value == pytest.approx(1)
    assert result.judges["right"].agreement["wrong_place"]["all"]["tau"].judge.value is None


def test_worked_by_hand(tmp_path):
    """Left-out experts differ from the mean of the others by 1/3 on average; the judge by twice as much.

    Counts: a 0 2, b 0 2, c 1 2. Means of the others: without a (.5, 2), without b (.5, 2), without c (0, 2).
    Left out: (|0-.5| + 0)/2, the same, (|1-0| + 0)/2: .25, .25, .5, mean 1/3. Judge 0 3: (.5+1)/2, the same, (0+1)/2:
    .75, .75, .5, mean 2/3.
    """
    result = study(tmp_path, {"a": [0, 2], "b": [0, 2], "c": [1, 2]}, judge=[0, 3])
    figure = result.judges["judge"].agreement["missing_finding"]["all"]["mean_difference"]
    assert figure.experts.value == pytest.approx(1 / 3)
    assert figure.judge.value == pytest.approx(2 / 3)
    assert figure.difference.value == pytest.approx(1 / 3)
    assert result.judges["judge"].agreement["total"]["all"]["tau"].judge.value == pytest.approx(1)


def test_missing_judgements_are_stated_and_left_out(tmp_path):
    numbers = [*TRUTH[:5], None, None]  # the last report is not in the file at all
    result = study(tmp_path, EXPERTS, judge=numbers, stray=[*TRUTH, 0, 0])
    one = result.judges["judge"]
    assert (one.num_reports, one.missing) == (5, {"timeout": 2, "not in the file": 1})
    cut = study(tmp_path, {name: values[:5] for name, values in EXPERTS.items()}, judge=TRUTH[:5])
    ours, same = (each.agreement["total"]["all"]["tau"] for each in (one, cut.judges["judge"]))
    assert (ours.judge.value, ours.experts.value) == pytest.approx((same.judge.value, same.experts.value))
    assert result.judges["stray"].unknown == 2
    assert study(tmp_path, EXPERTS, none=[None] * 8).judges["none"].agreement["total"]["all"]["tau"].judge.value is None


def test_experts_need_not_have_counted_the_same_reports(tmp_path):
    result = study(tmp_path, {"a": TRUTH, "b": [*TRUTH[:4], None, None, None, None]}, judge=TRUTH)
    figure = result.judges["judge"].agreement["total"]["all"]["mean_difference"]
    assert (figure.judge.value, figure.experts.value) == (0, 0)
    assert result.num_counted == {"a": 8, "b": 4}


def test_a_single_expert_gives_no_yardstick(tmp_path):
    figure = study(tmp_path, {"a": TRUTH}, judge=TRUTH).judges["judge"].agreement["total"]["all"]["tau"]
    assert figure.judge.value == pytest.approx(1)
    assert (figure.experts, figure.difference) == (None, None)


def test_a_metric_is_ranked_only_and_more_is_better(tmp_path):
    experts = write_experts(tmp_path / "experts.jsonl", EXPERTS)
    rows = [{"id": f"r{index}", "value": 1 / (1 + number)} for index, number in enumerate(TRUTH)]
    rows[3]["value"] = None
    result = study_files([experts, write_rows(tmp_path / "bleu.jsonl", rows)], num_resamples=20).judges["bleu"]
    assert set(result.agreement) == {"total"}
    assert result.agreement["total"]["all"]["tau"].judge.value > 0.7
    assert result.agreement["total"]["all"]["mean_difference"].judge is None
    assert result.missing == {"no value": 1}


def test_all_metrics_of_a_scoring_each_the_right_way_round(tmp_path):
    experts = write_experts(tmp_path / "experts.jsonl", EXPERTS)
    values = {"rouge_l": -1.0, "edit_distance_words": 1.0, "length_words": 1.0, "another": -1.0}
    rows = [
        {"id": f"r{index}", "metrics": {"bleu_4": None} | {name: sign * number for name, sign in values.items()}}
        for index, number in enumerate(TRUTH)
    ]
    study = study_files([experts, write_rows(tmp_path / "each.jsonl", rows)], num_resamples=20)
    figures = {name: one.agreement["total"]["all"]["tau"].judge.value for name, one in study.judges.items()}
    assert METRICS["edit_distance_words"].direction == "lower"
    assert set(figures) == {"bleu_4", "rouge_l", "another", "edit_distance_words"}
    assert all(value > 0.8 for name, value in figures.items() if name != "bleu_4")
    assert set(study.judges["bleu_4"].agreement) == {"total"}
    lines = "\n".join(study_lines(study))
    assert "metrics, all errors" in lines
    assert "rouge_l" in render_study_page(study)


def test_intervals_hold_the_value_and_one_seed_gives_one_result(tmp_path):
    noise = np.random.default_rng(0)
    totals = {name: noise.poisson(np.tile(TRUTH, 5)).tolist() for name in "abcd"}
    first = study(tmp_path, totals, judge=np.tile(TRUTH, 5).tolist())
    tau = first.judges["judge"].agreement["total"]["all"]["tau"]
    for estimate in (tau.judge, tau.experts, tau.difference):
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high
    assert tau.judge.value > tau.experts.value  # the truth is nearer to the mean than a noisy expert is
    assert study(tmp_path, totals, judge=np.tile(TRUTH, 5).tolist()) == first


def test_the_three_forms_of_counts_are_one(tmp_path):
    told = {("a", "1_bleu"): counts(wrong_place=(2, 1)), ("b", "1_bleu"): counts(false_finding=(0, 3))}
    long = write_rows(tmp_path / "l.jsonl", [r for (e, n), c in told.items() for r in long_rows(n, "1", e, c)])
    told = {key: plain(table) for key, table in told.items()}
    wide, rexval = tmp_path / "wide.csv", tmp_path / "rexval.csv"
    cells = {(e, n): {f"{k}_{v}": c[k][v] for k in c for v in c[k]} for (e, n), c in told.items()}
    wide_rows = [{"id": n, "expert": e, "patient_id": "1", **row} for (e, n), row in cells.items()]
    published = [
        {"study_number": 1, "candidate_type": "bleu", "error_category": number, "rater_index": e}
        | {"clinically_significant": v == "significant", "num_errors": float(c[k][v])}
        for (e, _), c in told.items()
        for number, k in enumerate(ERROR_KINDS, start=1)
        for v in c[k]
    ]
    for path, rows in ((wide, wide_rows), (rexval, published)):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    read = [read_study_files([path]) for path in (long, wide, rexval)]
    for files in read:
        assert files.patients == {"1_bleu": "1"}
        assert {name: one["1_bleu"].tolist() for name, one in files.experts.items()} == {
            expert: [[c[k]["significant"], c[k]["insignificant"]] for k in ERROR_KINDS]
            for (expert, _), c in told.items()
        }


ROW = {"id": "r", "expert": "a", "kind": "wrong_place", "significant": True, "count": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "r", "text": "x"}], "columns are not known"),
        ([{**ROW, "kind": "typo"}], "line 1: 'kind' must be one of: false_finding"),
        ([ROW, {**ROW, "id": "s", "count": -1}], "line 2: 'count' must be a number from 0"),
        ([{**ROW, "count": None}], "a report that was not counted has no row"),
        ([{**ROW, "significant": "maybe"}], "'significant' must be one of"),
        ([ROW, ROW], "line 2: counts again"),
        ([{**ROW, "expert": " "}], "'expert' must be a text"),
        ([{"id": "r", "counts": {"typo": 1}}], "is not what radlet judge writes"),
        (
            [{"id": "r", "counts": {"false_finding": {"significant": math.inf, "insignificant": 0}}}],
            "is not what radlet",
        ),
        ([{"id": "r", "value": "high"}], "'value' must be a number"),
        ([{"id": "r", "value": 1}], "No file holds counts by experts"),
    ],
)
def test_wrong_files_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_study_files([write_rows(tmp_path / "x.jsonl", rows)])


def test_counts_of_two_systems_drafts_are_not_mixed(tmp_path):
    files = [write_rows(tmp_path / f"counts-{name}.jsonl", [ROW]) for name in ("a", "b")]
    with pytest.raises(DataError, match=r"counts-b\.jsonl, line 1: counts again"):
        read_study_files(files)
