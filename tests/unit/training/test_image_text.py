from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import SETTINGS, make_pair

from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmStore
from radlet.training.image_text import ImageTextLossConfig, ImageTextObjective


def objective(rows: list[Example], **config: Any) -> ImageTextObjective:
    pair, tokenizer = make_pair()
    films = FilmStore([row.image_paths[0] for row in rows], SETTINGS, Progress(quiet=True))
    return ImageTextObjective(
        pair.eval(),
        tokenizer,
        rows,
        films,
        ImageTextLossConfig(**config),
        AugmentationConfig(),  # type: ignore[arg-type]
    )


def losses(rows: list[Example], **config: Any) -> dict[str, float]:
    made = objective(rows, **config)
    with torch.no_grad():
        parts = made.losses(made.batch(np.arange(len(rows)), torch.Generator()))
    return {name: value.item() for name, value in parts.items()}


def test_the_reports_read_stand_for_those_that_are_not(tiny_examples: list[Example]) -> None:
    """Of four rows and their copies, the first four say all; labels are learnt from every film."""
    rows = [*tiny_examples[:4], *tiny_examples[:4]]
    half = losses(rows, max_pairs=4)
    alone = losses(tiny_examples[:4])
    assert half["contrastive"] == pytest.approx(2 * alone["contrastive"], rel=1e-4)
    assert half["language"] == pytest.approx(losses(rows)["language"], rel=1e-4)
    assert half["labels"] == pytest.approx(losses(rows)["labels"], rel=1e-4)


def test_films_without_a_report_are_not_stood_for(tiny_examples: list[Example]) -> None:
    mute = [row.model_copy(update={"report": None}) for row in tiny_examples[4:]]
    assert losses([*tiny_examples[:4], *mute])["language"] == pytest.approx(
        losses(tiny_examples[:4])["language"], rel=1e-4
    )


def test_a_recipe_with_nothing_to_learn_or_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing would be learnt"):
        ImageTextLossConfig(contrastive=0, labels=0, language=0)
    with pytest.raises(ValueError, match="Did you mean 'contrastive'"):
        ImageTextLossConfig(pairing="contrstive")
