import pytest

from radlet.core.records import Example, Finding


def make_example(number, target="Small left pleural effusion.", split="test", patient=None, truth=None, **changes):
    values = {
        "example_id": f"e{number}",
        "study_id": f"s{number}",
        "patient_id": patient or f"p{number}",
        "split": split,
        "image_paths": (f"/films/{number}.png",),
        "views": ("PA",),
        "target": target,
        "truth": truth,
    }
    return Example(**(values | changes))


@pytest.fixture
def example():
    return make_example


@pytest.fixture
def finding():
    def make(observation, side=None):
        return Finding(kind="x", observation=observation, side=side)

    return make
