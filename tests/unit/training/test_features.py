from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import SETTINGS

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.data.images import ImageSettings
from radlet.models.freezing import set_trainable
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel, encode_films
from radlet.training import films as films_module
from radlet.training import report_training
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmFeatures, FilmStore, films_in_memory
from radlet.training.report_training import ReportTrainingConfig
from radlet.training.reports import ReportObjective, ReportRowsConfig


def step(
    report_model: ReportModel, rows: list[Example], films: FilmStore | FilmFeatures
) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss of all rows and its gradients."""
    objective = ReportObjective(report_model, rows, films, PromptConfig(), ReportRowsConfig(), AugmentationConfig())
    report_model.model.zero_grad()
    batch = objective.batch(np.arange(len(rows)), torch.Generator())
    loss = objective.losses(batch)["language"]
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = report_model.model.named_parameters()
    return loss.item(), {name: p.grad.clone() for name, p in parameters if p.grad is not None}


def test_kept_features_train_like_the_films_themselves(
    tiny_report_model: ReportModel, tiny_examples: list[Example]
) -> None:
    model = tiny_report_model.model
    set_trainable(model, {"projector", "language_model"})
    rows = tiny_examples[:5]
    paths = [path for row in rows for path in row.image_paths]
    films = FilmStore(paths, SETTINGS, Progress(quiet=True))
    features = FilmFeatures(films, paths, lambda pixel_values: encode_films(model, pixel_values), Progress(quiet=True))
    loss, gradients = step(tiny_report_model, rows, films)
    kept_loss, kept_gradients = step(tiny_report_model, rows, features)
    assert kept_loss == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == kept_gradients.keys()
    assert any("multi_modal_projector" in name for name in gradients)
    torch.testing.assert_close(kept_gradients, gradients, atol=1e-4, rtol=1e-3)


def test_an_unannounced_film_is_an_error_that_names_no_file(tiny_films: list[Path]) -> None:
    films = FilmStore([str(tiny_films[0])], SETTINGS, Progress(quiet=True))
    features = FilmFeatures(films, [str(tiny_films[0])], lambda films: films.flatten(2), Progress(quiet=True))
    for store in (films.grey, features.of):
        with pytest.raises(DataError, match="1 films were not loaded") as caught:
            store([str(tiny_films[1])])
        assert tiny_films[1].name not in str(caught.value)


@pytest.mark.parametrize(
    ("trainable", "augmentation", "limit", "kept"),
    [
        ({"projector"}, {}, 10**9, True),
        ({"projector"}, {"rotation_deg": 5.0}, 10**9, False),
        ({"projector", "encoder"}, {}, 10**9, False),
        ({"projector"}, {}, 10, False),
    ],
)
def test_features_are_kept_only_where_they_cannot_change_and_fit(
    tiny_report_model: ReportModel,
    tiny_films: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    trainable: set[str],
    augmentation: dict[str, float],
    limit: int,
    kept: bool,
) -> None:
    monkeypatch.setattr(report_training, "MAX_FEATURE_BYTES", limit)
    set_trainable(tiny_report_model.model, trainable)
    config = ReportTrainingConfig(augmentation=AugmentationConfig(**augmentation))
    films = report_training.load_films(list(map(str, tiny_films)), tiny_report_model, config, Progress(quiet=True))
    assert isinstance(films, FilmFeatures if kept else FilmStore)


def test_rows_without_their_films_are_prompted_without_them(
    tiny_report_model: ReportModel, tiny_examples: list[Example]
) -> None:
    rows = tiny_examples * 8
    films = FilmStore([path for row in rows for path in row.image_paths], SETTINGS, Progress(quiet=True))
    config = ReportRowsConfig(film_dropout=0.5)
    objective = ReportObjective(tiny_report_model, rows, films, PromptConfig(), config, AugmentationConfig())
    batch = objective.batch(np.arange(len(rows)), torch.Generator().manual_seed(0))
    image_token = tiny_report_model.model.config.image_token_id
    sequences = batch["input_ids"][0].split(batch["lengths"].tolist())
    shown = torch.stack([(sequence == image_token).sum() for sequence in sequences])
    assert set(shown.tolist()) == {0, tiny_report_model.num_image_tokens}
    assert len(batch["pixel_values"]) == (shown > 0).sum()
    assert torch.isfinite(objective.losses(batch)["language"])


def test_the_films_last_read_are_not_read_again(tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    paths = list(map(str, tiny_films))
    first = films_in_memory(paths, SETTINGS, Progress(quiet=True))
    expected = first.grey(paths[2:4])
    monkeypatch.setattr(films_module, "read_run_film", lambda _: pytest.fail("read again"))
    again = films_in_memory(paths[2:], SETTINGS, Progress(quiet=True))
    np.testing.assert_array_equal(again.grey(paths[2:4]), expected)
    monkeypatch.undo()
    other = ImageSettings(size_px=16, resize="squash")
    assert films_in_memory(paths, other, Progress(quiet=True)).grey(paths).shape == (8, 16, 16)
    more = films_in_memory([*paths[:2], *paths], SETTINGS, Progress(quiet=True))
    np.testing.assert_array_equal(more.grey(paths[2:4]), expected)
