import re

import numpy as np
import pytest

from radlet.core.console import Progress
from radlet.core.errors import UnknownNameError
from radlet.core.records import Prediction
from radlet.evaluation.compared_systems import System, align
from radlet.evaluation.comparison import ComparisonSettings, compare_systems, place
from radlet.evaluation.comparison_card import Comparison, MetricComparison, Standing
from radlet.evaluation.comparison_page import render_comparison
from radlet.evaluation.scorecard import PairedResult, Scorecard
from radlet.metrics.resampling import PatientResampler

REFERENCES = ["There is a left pleural effusion.", "The heart is enlarged.", "There is a right rib fracture."] * 12
GOOD = REFERENCES
WORSE = [text if row % 4 else "The lungs are clear." for row, text in enumerate(REFERENCES)]
BAD = ["The lungs are clear."] * len(REFERENCES)
SETTINGS = ComparisonSettings(("observation_f1_micro_14", "rule_judge_errors", "length_words"), 200)


def make_system(name: str, *drafts: list[str], **changes: object) -> System:
    rows = [
        [
            Prediction(example_id=f"e{row}", patient_id=f"p{row // 2}", text=text, reference=REFERENCES[row])
            for row, text in enumerate(texts)
        ]
        for texts in drafts
    ]
    return System(name, tuple(rows), **changes)


def compare(*systems: System, settings: ComparisonSettings = SETTINGS) -> Comparison:
    return compare_systems(systems, align(systems), settings, Progress(quiet=True))


def test_a_better_system_is_told_from_a_worse_one_with_the_resamplers_own_numbers() -> None:
    comparison = compare(make_system("worse", WORSE), make_system("good", GOOD))
    head = comparison.metrics[comparison.headline]
    assert (comparison.reference, comparison.headline) == ("worse", "observation_f1_micro_14")
    assert head.standings["good"].value == 1
    assert (head.standings["good"].best, head.standings["good"].rank, head.best) == (1, 1, "good")
    difference = head.differences["good"]
    assert difference.difference == pytest.approx(1 - (head.standings["worse"].value or 0))
    assert difference.low > 0
    assert head.verdict(difference) == "good"
    assert (difference.p_corrected or 0) >= difference.p_value
    assert comparison.pairwise["worse"]["good"].difference == pytest.approx(-difference.difference)


def test_where_lower_is_better_fewer_errors_win() -> None:
    errors = compare(make_system("worse", WORSE), make_system("good", GOOD)).metrics["rule_judge_errors"]
    assert errors.differences["good"].difference < 0
    assert errors.verdict(errors.differences["good"]) == "good"
    assert errors.best == "good"


def test_a_description_is_neither_ranked_nor_tested() -> None:
    length = compare(make_system("worse", WORSE), make_system("good", GOOD)).metrics["length_words"]
    assert (length.direction, length.differences, length.best) == (None, {}, None)
    assert length.standings["good"].value == pytest.approx(np.mean([len(text.split()) for text in GOOD]))


def test_equal_systems_do_not_differ_and_share_the_first_place() -> None:
    head = compare(make_system("a", WORSE), make_system("b", WORSE)).metrics["observation_f1_micro_14"]
    assert (head.differences["b"].difference, head.differences["b"].p_value) == (0, 1)
    assert [head.standings[name].best for name in "ab"] == [0.5, 0.5]
    assert head.best is None


def test_baselines_are_held_against_the_reference_but_have_no_place() -> None:
    comparison = compare(
        make_system("worse", WORSE), make_system("bad", BAD), make_system("constant", GOOD, baseline_of="worse")
    )
    head = comparison.metrics[comparison.headline]
    assert head.standings["constant"].rank is None
    assert head.differences["constant"].low > 0
    assert head.best == "worse"
    assert list(comparison.pairwise["worse"]) == ["bad"]


def test_the_seeds_of_a_system_count_with_their_mean() -> None:
    head = compare(make_system("a", WORSE), make_system("seeds", GOOD, BAD)).metrics["length_words"]
    lengths = [np.mean([len(text.split()) for text in texts]) for texts in (GOOD, BAD)]
    assert head.standings["seeds"].value == pytest.approx(np.mean(lengths))
    assert head.standings["seeds"].by_seed == pytest.approx(tuple(lengths))
    assert head.standings["a"].by_seed == ()


def test_two_copies_of_one_seed_score_as_one() -> None:
    once, twice = (compare(make_system("a", BAD), make_system("b", *[WORSE] * n)) for n in (1, 2))
    for name, one in once.metrics.items():
        assert one.standings["b"].estimate == twice.metrics[name].standings["b"].estimate
        assert one.differences == twice.metrics[name].differences


def test_observations_and_the_reports_that_differ_most() -> None:
    comparison = compare(make_system("good", GOOD), make_system("worse", WORSE))
    effusion = comparison.observations["Pleural Effusion"]
    assert effusion.support == 12
    assert effusion.f1["good"].value == 1
    assert (effusion.f1["worse"].value or 0) < 1
    assert "Pneumothorax" not in comparison.observations  # never present
    assert [one.row for one in comparison.disagreements] == [1, 5, 9, 13, 17, 21, 25, 29, 33]
    assert comparison.disagreements[0].wrong["good"] == 0
    assert comparison.disagreements[0].wrong["worse"] > 0


def test_a_metric_that_is_not_known_is_answered_with_the_nearest() -> None:
    settings = ComparisonSettings(("observation_f1_mikro_14",), 10)
    with pytest.raises(UnknownNameError, match="Did you mean 'observation_f1_micro_14'"):
        compare(make_system("a", GOOD), make_system("b", BAD), settings=settings)
    with pytest.raises(UnknownNameError, match="needs synthetic studies"):
        compare(make_system("a", GOOD), make_system("b", BAD), settings=ComparisonSettings(("truth_f1_micro",), 10))


def make_card(value: float) -> Scorecard:
    return Scorecard.model_validate(
        {
            "task": "findings",
            "split": "test",
            "num_studies": 36,
            "num_reports": 36,
            "num_patients": 18,
            "num_resamples": 10,
            "metrics": {"observation_f1_micro_14": {"value": value, "low": value - 0.1, "high": value + 0.1}},
        }
    )


def test_scorecards_alone_stand_side_by_side_untested() -> None:
    comparison = compare(*(System(name, scorecard=make_card(v)) for name, v in (("a", 0.4), ("b", 0.5))))
    head = comparison.metrics[comparison.headline]
    assert [head.standings[name].value for name in "ab"] == [0.4, 0.5]
    assert (comparison.num_reports, head.differences, head.best) == (0, {}, None)
    assert "unpaired and without tests" in comparison.notes[0]
    assert "cannot be tested" in render_comparison(comparison, None)


def test_a_scorecard_alone_stands_beside_drafts() -> None:
    comparison = compare(
        make_system("a", GOOD), System("card", scorecard=make_card(0.5)), make_system("b", BAD), settings=SETTINGS
    )
    head = comparison.metrics[comparison.headline]
    assert head.standings["card"].value == 0.5
    assert set(head.differences) == {"b"}
    assert [system.paired for system in comparison.systems] == [True, False, True]


def test_undefined_resamples_are_placed_last_and_ties_are_shared() -> None:
    standings = {name: Standing(value=v, low=None, high=None) for name, v in (("a", 2.0), ("b", 1.0), ("c", None))}
    resampled = {
        "a": np.array([3.0, np.nan, 1.0, 1.0]),
        "b": np.array([2.0, 0.5, 1.0, 2.0]),
        "c": np.full(4, np.nan),
    }
    higher = place(standings, resampled, "higher")
    assert (higher["a"].best, higher["b"].best) == (1.5 / 4, 2.5 / 4)
    assert (higher["a"].rank, higher["b"].rank) == (1, 2)
    assert "c" not in higher
    assert place(standings, resampled, "lower")["b"].rank == 1


def test_the_scores_of_the_resamples_are_those_of_the_interval() -> None:
    statistics = np.arange(40.0).reshape(20, 2) + 1
    resampler = PatientResampler([str(row) for row in range(20)], 100)

    def score(totals: np.ndarray) -> np.ndarray:
        return totals[..., 0] / totals[..., 1]

    estimate = resampler.estimate(statistics, score)
    assert np.quantile(resampler.scores(statistics, score), (0.025, 0.975)) == pytest.approx(
        [estimate.low, estimate.high]
    )


def test_the_page_is_self_contained_names_rows_and_escapes_names() -> None:
    first, second = make_system("<b>bold</b>", WORSE), make_system("good", GOOD)
    comparison = compare(first, second)
    page = render_comparison(comparison, align([first, second]))
    assert not re.search(r"https?://|<script|src=", page)
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold</b>" not in page
    assert "row 1<" in page
    assert "rule_judge_errors" in page


def test_the_json_holds_no_text_and_no_id_and_reads_back() -> None:
    comparison = compare(make_system("a", WORSE), make_system("b", GOOD))
    text = comparison.model_dump_json()
    assert "effusion." not in text
    assert '"e1"' not in text
    assert Comparison.model_validate_json(text) == comparison


def test_a_difference_across_zero_has_no_verdict() -> None:
    result = PairedResult(baseline="a", difference=0.1, low=-0.1, high=0.3, p_value=0.3)
    one = MetricComparison(direction="higher", standings={})
    assert one.verdict(result) == ""
    assert one.verdict(result.model_copy(update={"low": 0.05})) == "good"
    assert one.verdict(result.model_copy(update={"high": -0.05, "low": -0.2})) == "bad"


def test_a_scorecard_whose_observations_another_labeller_read_is_told_apart() -> None:
    card = Scorecard(
        task="findings", split="test", num_studies=5, num_reports=5, num_patients=5, num_resamples=5, metrics={}
    )
    other = System("other", scorecard=card.model_copy(update={"labeller": "chexbert", "labeller_sha256": "0" * 64}))
    notes = compare(make_system("good", GOOD), make_system("bad", BAD), other).notes
    assert any("observations of other were read by another labeller (chexbert)" in note for note in notes)
    assert not any(
        "labeller" in note for note in compare(make_system("good", GOOD), System("own", scorecard=card)).notes
    )
