"""The sentences that training reports state findings with."""

from radlet.evaluation.wordings import positive_wordings

TARGETS = (
    ["There is a right pleural effusion. No pneumothorax."] * 3
    + ["Large right pleural effusion."] * 2
    + ["There is a left pleural effusion."]
    + ["Pleural effusion and cardiomegaly.", "Possible pleural effusion.", "No pleural effusion.", ""]
)


def test_takes_sentences_that_state_one_observation_as_present():
    found = positive_wordings(TARGETS, 8)
    assert set(found) == {"Pleural Effusion"}
    assert {one.text for one in found["Pleural Effusion"]} == {
        "There is a right pleural effusion.",
        "Large right pleural effusion.",
        "There is a left pleural effusion.",
    }


def test_shares_are_by_frequency_and_sum_to_1():
    shares = {one.text: one.share for one in positive_wordings(TARGETS, 8)["Pleural Effusion"]}
    assert sum(shares.values()) == 1
    assert shares["There is a right pleural effusion."] == 3 / 6


def test_the_rarer_side_has_its_turn_before_the_second_wording_of_the_other():
    assert [one.text for one in positive_wordings(TARGETS, 2)["Pleural Effusion"]] == [
        "There is a right pleural effusion.",
        "There is a left pleural effusion.",
    ]
