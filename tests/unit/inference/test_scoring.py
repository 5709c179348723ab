from radlet.core.records import Example
from radlet.inference.scoring import exact_match


def make_row(target, kind):
    return Example(
        example_id=target, study_id="s", patient_id="p", split="dev", image_paths=(), views=(), question="?",
        target=target, answer_kind=kind,
    )  # fmt: skip


def test_an_answer_counts_whole_whatever_its_capitals_and_its_full_stop():
    rows = [make_row("Yes.", "closed"), make_row("no", "closed"), make_row("left  lower lobe", "open")]
    assert exact_match(rows, ["yes", "No .", "Left lower lobe"]) == {
        "draft_exact": 1.0, "draft_exact_closed": 1.0, "draft_exact_open": 1.0,
    }  # fmt: skip
    scores = exact_match(rows, ["yes", "yes", "lower lobe"])
    assert scores == {"draft_exact": 1 / 3, "draft_exact_closed": 0.5, "draft_exact_open": 0.0}


def test_a_kind_that_is_not_asked_has_no_score():
    assert exact_match([make_row("2", "open")], ["2"]) == {"draft_exact": 1.0, "draft_exact_open": 1.0}
