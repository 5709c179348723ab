import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from tests.fixtures.tiny import SETTINGS

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.data.images import ImageSettings
from radlet.models.freezing import set_trainable
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel, encode_films
from radlet.training import film_features, report_training, reports
from radlet.training import films as films_module
from radlet.training.augmentation import AugmentationConfig
from radlet.training.film_features import FilmFeatures, digest_films, features_key, make_room
from radlet.training.films import FilmStore, films_in_memory
from radlet.training.report_training import ReportTrainingConfig
from radlet.training.reports import ReportObjective, ReportRowsConfig
from radlet.training.world import World


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
    tiny_report_model: ReportModel, tiny_examples: list[Example], tmp_path: Path
) -> None:
    model = tiny_report_model.model
    set_trainable(model, {"projector", "language_model"})
    rows = tiny_examples[:5]
    paths = [path for row in rows for path in row.image_paths]
    films = FilmStore(paths, SETTINGS, Progress(quiet=True))
    features = FilmFeatures(
        tmp_path / "features",
        digest_films(paths),
        lambda some: encode_films(model, films.pixel_values(some)),
        Progress(quiet=True),
    )
    assert torch.equal(features.of(paths[3:5]), encode_films(model, films.pixel_values(paths))[3:5])
    loss, gradients = step(tiny_report_model, rows, films)
    kept_loss, kept_gradients = step(tiny_report_model, rows, features)
    assert kept_loss == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == kept_gradients.keys()
    assert any("multi_modal_projector" in name for name in gradients)
    torch.testing.assert_close(kept_gradients, gradients, atol=1e-4, rtol=1e-3)


def test_an_unannounced_film_is_an_error_that_names_no_file(tiny_films: list[Path], tmp_path: Path) -> None:
    films = FilmStore([str(tiny_films[0])], SETTINGS, Progress(quiet=True))
    features = features_of(tmp_path / "f", [str(tiny_films[0])], lambda _: torch.ones(1, 2, 3))
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
        ({"projector"}, {}, 0, False),
    ],
)
def test_features_are_kept_only_where_they_cannot_change_and_fit(
    tiny_report_model: ReportModel,
    tiny_films: list[Path],
    tmp_path: Path,
    trainable: set[str],
    augmentation: dict[str, float],
    limit: int,
    kept: bool,
) -> None:
    set_trainable(tiny_report_model.model, trainable)
    config = ReportTrainingConfig(augmentation=AugmentationConfig(**augmentation))
    films = report_training.load_films(
        list(map(str, tiny_films)), tiny_report_model, config, (tmp_path / "cache", limit), Progress(quiet=True)
    )
    assert isinstance(films, FilmFeatures if kept else FilmStore)


def test_what_is_kept_already_needs_no_more_room_and_a_full_disk_costs_time_alone(
    tiny_report_model: ReportModel, tiny_films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_trainable(tiny_report_model.model, {"projector"})

    def load(limit: float, root: str = "cache") -> FilmStore | FilmFeatures:
        cache = (tmp_path / root, limit)
        return report_training.load_films(
            list(map(str, tiny_films)), tiny_report_model, ReportTrainingConfig(), cache, Progress(quiet=True)
        )

    load(10**9)
    size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.safetensors"))
    again = load(size)
    assert isinstance(again, FilmFeatures)
    assert again.num_encoded == 0

    def full(_: object, path: Path, __: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(film_features, "save_file", full)
    assert isinstance(load(10**9, "other"), FilmStore)
    assert not list((tmp_path / "other").rglob("*.tmp"))
    (tmp_path / "file").touch()
    assert isinstance(load(10**9, "file"), FilmStore)


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


def test_a_process_without_films_lends_its_encoder_and_projector_a_gradient_of_zero(
    tiny_report_model: ReportModel, tiny_examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes sum the gradients of every weight: one that had none for some would leave the others waiting."""
    model = tiny_report_model.model.eval()
    films = FilmStore([path for row in tiny_examples for path in row.image_paths], SETTINGS, Progress(quiet=True))
    config = ReportRowsConfig(film_dropout=0.99)
    objective = ReportObjective(tiny_report_model, tiny_examples, films, PromptConfig(), config, AugmentationConfig())
    found = []
    for size in (1, 2):
        monkeypatch.setattr(reports, "world", lambda size=size: World(size=size))
        batch = objective.batch(np.arange(3), torch.Generator().manual_seed(0))
        model.zero_grad()
        loss = objective.losses(batch)["language"]
        loss.backward()  # type: ignore[no-untyped-call]
        missing = {name for name, p in model.named_parameters() if p.grad is None}
        found.append((objective.units(batch), len(batch["lengths"]), "pixel_values" in batch, loss.item(), missing))
    alone, of_two = found
    assert alone[:3] == (of_two[0], 3, False)
    assert of_two[1:3] == (4, True)
    assert of_two[3] == pytest.approx(alone[3], rel=1e-5)
    assert any("multi_modal_projector" in name for name in alone[4])
    assert not any("multi_modal_projector" in name for name in of_two[4])
    projector = [p.grad for name, p in model.named_parameters() if "multi_modal_projector" in name]
    assert not any(gradient.any() for gradient in projector if gradient is not None)


def test_batch_normalisation_that_trains_keeps_a_row_in_its_company(
    tiny_report_model: ReportModel, tiny_examples: list[Example]
) -> None:
    def lengths(parts: set[str]) -> object:
        set_trainable(tiny_report_model.model, parts)
        films = FilmStore([str(tiny_examples[0].image_paths[0])], SETTINGS, Progress(quiet=True))
        rows = tiny_examples[:1]
        words, augmentation = PromptConfig(), AugmentationConfig()
        return ReportObjective(tiny_report_model, rows, films, words, ReportRowsConfig(), augmentation).row_lengths()

    assert lengths({"projector"}) is not None
    assert lengths({"projector", "encoder"}) is None


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


class Encoder:
    """Counts the films it is shown; each one's features are its path's number."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, paths: Sequence[str]) -> torch.Tensor:
        self.seen += paths
        return torch.stack([torch.full((2, 3), float(Path(path).stem[-1])) for path in paths])


def features_of(folder: Path, paths: list[str], encode: Callable[[Sequence[str]], torch.Tensor]) -> FilmFeatures:
    return FilmFeatures(folder, digest_films(paths), encode, Progress(quiet=True))


def test_features_are_found_by_the_next_run_and_only_new_films_encoded(tiny_films: list[Path], tmp_path: Path) -> None:
    paths = list(map(str, tiny_films))
    encode = Encoder()
    assert features_of(tmp_path / "k", paths[:5], encode).num_encoded == 5
    later = features_of(tmp_path / "k", [*paths[3:], paths[3]], encode)
    assert (later.num_found, later.num_encoded) == (2, 3)
    assert encode.seen == paths
    assert later.of([paths[7], paths[3]])[:, 0, 0].tolist() == [7, 3]


def test_a_changed_film_is_another_film(tiny_films: list[Path], tmp_path: Path) -> None:
    encode, path = Encoder(), str(tiny_films[0])
    features_of(tmp_path / "k", [path], encode)
    tiny_films[0].write_bytes(tiny_films[1].read_bytes())
    assert features_of(tmp_path / "k", [path], encode).num_encoded == 1


def test_a_killed_run_leaves_the_films_it_has_written(
    tiny_films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FilmFeatures, "BATCH_SIZE", 2)
    monkeypatch.setattr(FilmFeatures, "FILMS_PER_FILE", 4)
    paths, encode = list(map(str, tiny_films)), Encoder()

    def killed(some: Sequence[str]) -> torch.Tensor:
        if len(encode.seen) == 6:
            (tmp_path / "k" / "half.tmp").write_bytes(b"torn")
            raise KeyboardInterrupt
        return encode(some)

    with pytest.raises(KeyboardInterrupt):
        features_of(tmp_path / "k", paths, killed)
    again = features_of(tmp_path / "k", paths, encode)
    assert (again.num_found, again.num_encoded) == (4, 4)
    assert again.of(paths)[:, 0, 0].tolist() == list(range(8))
    assert not list((tmp_path / "k").glob("*.tmp"))


def test_a_damaged_file_is_made_again(tiny_films: list[Path], tmp_path: Path) -> None:
    paths, encode = list(map(str, tiny_films)), Encoder()
    features_of(tmp_path / "k", paths, encode)
    (file,) = (tmp_path / "k").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    assert features_of(tmp_path / "k", paths, encode).num_encoded == 8


def test_a_flipped_bit_is_noticed_and_told(
    tiny_films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, encode = list(map(str, tiny_films)), Encoder()
    expected = features_of(tmp_path / "k", paths, encode).of(paths).clone()
    (file,) = (tmp_path / "k").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again = FilmFeatures(tmp_path / "k", digest_films(paths), encode, Progress())
    assert "1 damaged files of kept features" in capsys.readouterr().err
    assert again.num_encoded == 8
    assert torch.equal(again.of(paths), expected)


def test_two_processes_share_one_encoding(tiny_films: list[Path], tmp_path: Path) -> None:
    paths, encode = list(map(str, tiny_films)), Encoder()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: features_of(tmp_path / "k", paths, encode), range(2)))
    assert sorted(features.num_encoded for features in both) == [0, 8]
    assert torch.equal(both[0].of(paths), both[1].of(paths))


def test_the_key_tells_apart_all_that_changes_features(tiny_report_model: ReportModel) -> None:
    def key(precision: str = "fp32") -> str:
        return features_key(tiny_report_model, precision, torch.device("cpu"))

    first = key()
    assert key() == first
    tiny_report_model.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert key() == first  # the layout in memory is no part of the weights
    assert key("bf16") != first
    tiny_report_model.model.model.multi_modal_projector.linear_1.weight.data.zero_()
    assert key() == first
    tiny_report_model.model.config.vision_feature_layer = 0
    assert key() != first
    tiny_report_model.model.config.vision_feature_layer = -1
    next(tiny_report_model.model.model.vision_tower.parameters()).data.add_(1e-6)
    assert key() != first


def test_the_encoder_unused_for_longest_makes_room(tiny_films: list[Path], tmp_path: Path) -> None:
    for number, name in enumerate(("old", "new")):
        features_of(tmp_path / name, [str(tiny_films[0])], Encoder())
        os.utime(tmp_path / name, (number, number))
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
    assert make_room(tmp_path, "third", 10, size + 10)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["new", "old"]
    assert make_room(tmp_path, "third", 10, size)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["new"]
    assert not make_room(tmp_path, "third", 10, 5)
    assert (tmp_path / "new").exists()
