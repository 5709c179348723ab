import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import Finding
from radlet.evaluation.scoring import Answers
from radlet.evaluation.subgroups import (
    Attribute,
    age_band,
    describe_subgroups,
    example_attributes,
    one_each,
    subgroup_lines,
)
from radlet.metrics.resampling import PatientResampler

LEFT, CLEAR = "There is a left pleural effusion.", "The lungs are clear."
BANDS = (18, 40, 60, 80)


def describe(attributes, references, drafts, patients=None, min_patients=5, truth=None):
    patients = patients or [f"p{i}" for i in range(len(references))]
    answers = Answers(references, patients, {"model": drafts}, truth)
    return describe_subgroups(attributes, answers, PatientResampler(patients, 200), min_patients)


def test_each_group_is_scored_against_all_others():
    references = [LEFT, CLEAR] * 20
    sexes = ["F"] * 20 + ["M"] * 20
    drafts = references[:20] + [CLEAR, LEFT] * 10
    found = describe({"sex": one_each(sexes)}, references, drafts)
    assert list(found.attributes) == ["observation", "sex"]
    result = found.attributes["sex"]
    women, men = result.groups["F"], result.groups["M"]
    assert (women.num_reports, women.num_patients) == (20, 20)
    assert women.metrics["observation_f1_micro_14"].value == 1
    assert men.metrics["observation_f1_micro_14"].value == 0
    gap = women.gaps["observation_f1_micro_14"]
    assert gap.difference == 1
    assert gap.p_corrected == gap.p_value == pytest.approx(1 / 201)  # the same comparison from both sides
    assert men.gaps["observation_f1_micro_14"].difference == -1
    assert result.lowest["observation_f1_micro_14"] == "M"
    assert set(women.metrics) == {"observation_f1_micro_14", "laterality", "rule_judge_credit"}


def test_groups_of_few_patients_are_named_at_most():
    references, drafts = [LEFT, CLEAR] * 20, [LEFT] * 40
    # Forty reports, but the first group is four patients only.
    patients = [f"p{i % 4}" for i in range(30)] + [f"q{i}" for i in range(10)]
    values = ["north"] * 30 + ["south"] * 10
    told = describe({"site": one_each(values)}, references, drafts, patients).attributes["site"]
    assert list(told.groups) == ["south"]
    assert told.too_few == ("north",)
    assert not told.groups["south"].gaps  # the others are too few as well
    assert not told.lowest
    hidden = describe({"site": one_each(values, free=True)}, references, drafts, patients)
    assert hidden.attributes["site"].too_few == ()
    assert hidden.attributes["site"].num_unnamed == 1
    assert "north" not in hidden.model_dump_json()


def test_p_values_are_corrected_for_the_groups_of_one_attribute():
    references = [LEFT, CLEAR] * 30
    bands = one_each(["a"] * 20 + ["b"] * 20 + ["c"] * 20)
    groups = describe({"band": bands}, references, references[:40] + [CLEAR, LEFT] * 10).attributes["band"].groups
    gaps = {name: group.gaps["observation_f1_micro_14"] for name, group in groups.items()}
    assert gaps["c"].p_value == pytest.approx(1 / 201)
    assert gaps["c"].p_corrected == pytest.approx(3 / 201)


def test_reports_of_which_nothing_is_known_are_no_others():
    references, drafts = [LEFT] * 30, [LEFT] * 20 + [CLEAR] * 10
    values = ["PA"] * 10 + ["AP"] * 10 + [None] * 10
    groups = describe({"view": one_each(values)}, references, drafts).attributes["view"].groups
    assert groups["PA"].gaps["observation_f1_micro_14"].difference == 0


def test_what_parts_nothing_makes_no_groups():
    assert describe({"sex": one_each(["F"] * 10)}, [LEFT] * 10, [LEFT] * 10) is None
    assert describe({"sex": one_each([None] * 10)}, [LEFT] * 10, [LEFT] * 10) is None
    assert describe({"sex": one_each(["F", "M"] * 2)}, [LEFT] * 4, [LEFT] * 4) is None


def test_the_truth_makes_the_groups_where_it_is_known():
    effusion = Finding(kind="effusion", observation="Pleural Effusion", side="left")
    truth = [(effusion,), ()] * 20
    found = describe({}, [CLEAR] * 40, [LEFT, CLEAR] * 20, truth=truth).attributes["observation"]
    assert list(found.groups) == ["Pleural Effusion"]
    assert found.groups["Pleural Effusion"].metrics["truth_f1_micro"].value == 1


@given(st.integers(0, 120), st.lists(st.integers(1, 119), min_size=1, max_size=6, unique=True).map(sorted))
def test_every_age_is_in_the_band_that_names_it(age, bands):
    band = age_band(age, bands)
    first, last = {
        "under": lambda words: (0, int(words[1]) - 1),
        "to": lambda words: (int(words[0]), int(words[2])),
        "and": lambda words: (int(words[0]), 200),
    }[next(word for word in band.split() if word in ("under", "to", "and"))](band.split())
    assert first <= age <= last


def test_what_is_known_of_examples(example):
    examples = [
        example(1, sex="F", age_years=17, site="A", scanner="Agfa DX-D 600", indication="cough"),
        example(2, sex="M", age_years=80, image_paths=("a", "b"), views=("PA", "LATERAL")),
        example(3, views=(None,)),
    ]
    known = example_attributes(examples, BANDS)
    values = {name: [None if v is None else "/".join(v) for v in one.values] for name, one in known.items()}
    assert values == {
        "sex": ["F", "M", None],
        "age": ["under 18", "80 and over", None],
        "view": ["PA", "PA and LATERAL", None],
        "indication": ["given", "none", "none"],
        "site": ["A", None, None],
        "scanner": ["Agfa DX-D 600", None, None],
    }
    assert known["site"].free
    assert not known["scanner"].free


def test_groups_may_overlap():
    references = [LEFT, CLEAR] * 10
    both = Attribute([frozenset({"x"}), frozenset({"x", "y"})] * 10, ["x", "y"])
    groups = describe({"mark": both}, references, [LEFT] * 20).attributes["mark"].groups
    assert groups["x"].num_reports == 20
    assert not groups["x"].gaps
    assert groups["y"].gaps


def test_a_line_for_each_group():
    references = [LEFT, CLEAR] * 20
    found = describe({"sex": one_each(["F", "M"] * 20)}, references, references)
    lines = list(subgroup_lines(found))
    assert len(lines) == sum(len(one.groups) for one in found.attributes.values())
    assert any("sex: F" in line and "1.0000" in line and "+0.000 to the others" in line for line in lines)
    assert list(subgroup_lines(None)) == []


def test_the_same_seed_gives_the_same_groups():
    draws = np.random.default_rng(0)
    drafts = [LEFT if chance else CLEAR for chance in draws.random(40) < 0.5]
    attributes = {"sex": one_each(["F", "M"] * 20)}
    assert describe(attributes, [LEFT, CLEAR] * 20, drafts) == describe(attributes, [LEFT, CLEAR] * 20, drafts)
