import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.sources.cells import (
    LabelRule,
    read_age_years,
    read_answer_kind,
    read_sex,
    read_text,
    read_word_lists,
    read_words,
)

CELLS = st.sampled_from(["1.0", "1", "0.0", "-1.0", "", None, "nan", "present", 1, 0.0, -1, math.nan])


@pytest.mark.parametrize(
    ("cell", "age"),
    [
        ("58", 58), ("58.0", 58), ("058Y", 58), ("011M", 0), ("052W", 1), ("730D", 2), ("414", None), ("", None),
        ("-3", None), ("unknown", None), ("120", 120),
    ],
)  # fmt: skip
def test_ages(cell, age):
    assert read_age_years(cell) == age


def test_sexes():
    assert [read_sex(cell) for cell in ("F", "female", " Male ", "m", "Unknown", "", "O")] == [
        "F", "F", "M", "M", None, None, None,
    ]  # fmt: skip


def test_text_is_never_none():
    assert (read_text({"a": None}, "a"), read_text({}, "a"), read_text({"a": " b "}, "a")) == ("", "", "b")


@given(row=st.dictionaries(st.sampled_from("abcdef"), CELLS), names=st.sets(st.sampled_from("abcdef")))
def test_labels_are_1_and_0_of_the_named_cells_and_ones_need_no_rule(row, names):
    labels = LabelRule(uncertain="unknown", unmentioned="unknown").read(row, names)
    assert set(labels) <= names
    assert {name: value for name, value in labels.items() if value == 1} == {
        name: 1 for name in names if str(row.get(name)) in ("1.0", "1")
    }
    assert set(LabelRule(uncertain="positive", unmentioned="negative").read(row, names)) >= set(labels)


@pytest.mark.parametrize("empty", [None, "", math.nan])
def test_a_row_of_blanks_gives_no_labels_and_a_blank_among_others_is_negative(empty):
    assert LabelRule().read({"a": empty, "b": empty}, "ab") == {}
    assert LabelRule().read({"a": empty, "b": "1.0"}, "ab") == {"a": 0, "b": 1}


def test_a_cell_of_words_is_unknown_and_does_not_make_the_others_negative_wrongly():
    assert LabelRule().read({"a": "present", "b": 0}, "ab") == {"b": 0}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("['pleural effusion', 'normal']", ("pleural effusion", "normal")),
        ("[' hilar  congestion ', '', 'normal', 'normal']", ("hilar congestion", "normal")),
        ("['a'\t\"b's\"]", ("a", "b's")),
        ("[['a', 'loc left'], ['c']]", ("a", "loc left", "c")),
        ("[]", ()), ("", None), ("normal", None),
    ],
)  # fmt: skip
def test_lists_as_python_prints_them(cell, words):
    assert read_words(cell) == words


@given(st.lists(st.text("abc' ", min_size=1).map(lambda word: " ".join(word.split())).filter(bool), unique=True))
def test_every_printed_list_is_read_back(words):
    assert read_words(repr(words)) == tuple(words)


def test_kinds_of_answers():
    assert [read_answer_kind(cell, "left") for cell in ("CLOSED ", "open", "", "other")] == [
        "closed", "open", "open", "open",
    ]  # fmt: skip
    assert [read_answer_kind("", answer) for answer in ("Yes", "no.", "not sure")] == ["closed", "closed", "open"]
    assert read_answer_kind("OPEN", "yes") == "open"


def test_lists_within_a_list():
    assert read_word_lists("[['a', 'b', 'a'], [\"c d\"], []]") == [("a", "b", "a"), ("c d",)]
    assert read_word_lists("['a', 'b']") == [("a", "b")]
    assert read_word_lists("nan") == []
