from types import SimpleNamespace

import numpy as np
import pytest

from radlet.evaluation.systems import Systems
from radlet.evaluation.tasks import Findings


class PlainTask(Findings):
    """Asks without the inference package."""

    def request(self, example, image_paths):
        return SimpleNamespace(films=tuple(image_paths), indication=example.indication)


class Echo:
    """Writes down what it was asked."""

    def draft(self, requests, *, batch_size):
        return [f"{request.indication}|{','.join(request.films)}" for request in requests]


class Encoder:
    """Embeds a film by the number in its name, as a direction."""

    def __init__(self):
        self.calls = 0

    def embed_images(self, paths):
        self.calls += 1
        angles = np.array([float(path.stem) for path in paths]) / 20
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def systems(example):
    judged = [example(i, patient=f"p{i // 2}", indication=f"why {i}") for i in range(6)]
    training = [example(number, f"report of {number}", "train") for number in (10, 5, 1)]
    return Systems(PlainTask(), judged, training, seed=0, batch_size=2)


def test_which_systems_can_be_made(systems):
    assert list(systems.table(Echo())) == ["model", "constant", "shuffled_image"]
    every = systems.table(Echo(), Echo(), Encoder())
    assert list(every) == ["model", "constant", "no_image", "shuffled_image", "nearest_neighbour"]


def test_what_each_system_is_shown(systems):
    table = systems.table(Echo(), Echo(), Encoder())
    assert table["model"]([0, 3]) == ["why 0|/films/0.png", "why 3|/films/3.png"]
    assert table["no_image"]([1]) == ["why 1|"]
    shuffled = table["shuffled_image"](range(6))
    for row, text in enumerate(shuffled):
        indication, film = text.split("|")
        assert indication == f"why {row}"
        assert int(film[7]) // 2 != row // 2  # another patient's
    assert len(set(shuffled)) == 6


def test_constant_and_nearest_neighbour_copy_training_reports(systems):
    encoder = Encoder()
    table = systems.table(Echo(), encoder=encoder)
    assert len(set(table["constant"](range(6)))) == 1
    assert table["nearest_neighbour"]([0, 1, 5]) == ["report of 1", "report of 1", "report of 5"]
    table["nearest_neighbour"]([2])
    assert encoder.calls == 3  # the training films once, and each batch of queries


def test_the_task_takes_rows_with_text_and_film_only(example):
    task = Findings()
    assert task.accepts(example(1))
    assert not task.accepts(example(1, target=None))
    assert not task.accepts(example(1, image_paths=(), views=()))
