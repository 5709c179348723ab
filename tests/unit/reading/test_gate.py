import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from tests.fixtures.dicom_files import write_film

from radlet.core.errors import ConfigError
from radlet.data.burned_in import _reader
from radlet.data.film import Film
from radlet.data.sources.synthetic import SyntheticSource
from radlet.reading.gate import GateSettings, GateVerdict, judge_film
from radlet.reading.opening import judge_file, read_received
from radlet.retrieval.familiarity import Familiarity

Pixels = NDArray[np.uint8]
AS_IT_IS = GateSettings()


@pytest.fixture(scope="module")
def films() -> dict[str, Pixels]:
    source = SyntheticSource(num_patients=2, size_px=192, lateral_share=1.0, max_studies_per_patient=1)
    study = next(iter(source.studies(3)))
    return {str(image.view): study.pixels[image.image_id] for image in study.study.images}


@pytest.fixture
def frontal(films: dict[str, Pixels]) -> Pixels:
    return next(pixels for view, pixels in films.items() if view != "LATERAL")


def told(verdict: GateVerdict) -> list[tuple[str, str]]:
    return [(reason.code, reason.action) for reason in verdict.reasons]


def judged(pixels: Pixels, settings: GateSettings = AS_IT_IS, **header: Any) -> GateVerdict:
    return judge_film(Film(np.ascontiguousarray(pixels), **header), None, settings)


def test_a_frontal_film_passes_without_a_word(frontal: Pixels) -> None:
    verdict = judged(frontal)
    assert (verdict.passed, verdict.reasons) == (True, ())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (np.rot90, "turned"),
        (lambda film: np.rot90(film, 3), "turned"),
        (lambda film: np.rot90(film, 2), "turned"),
        (lambda film: 255 - film, "inverted"),
        (np.zeros_like, "blank"),
        (lambda film: np.random.default_rng(0).integers(0, 2, (192, 192), np.uint8).cumsum(1) % 251, "not_chest"),
        (lambda film: np.hstack([film, np.zeros((192, 20), np.uint8), film]), "panels"),
    ],
    ids=["left", "right", "head", "negative", "black", "stripes", "panels"],
)
def test_a_film_with_a_fault_is_refused_by_its_name(
    frontal: Pixels, change: Callable[[Pixels], Pixels], code: str
) -> None:
    verdict = judged(change(frontal).astype(np.uint8))
    assert not verdict.passed
    assert (code, "refuse") in told(verdict)


def test_a_blank_film_is_called_blank_alone() -> None:
    assert told(judged(np.full((200, 200), 90, np.uint8))) == [("blank", "refuse")]


def test_a_lateral_is_refused_by_its_pixels_or_its_header(films: dict[str, Pixels]) -> None:
    lateral = films["LATERAL"]
    assert ("lateral", "refuse") in told(judged(lateral))
    assert ("lateral", "refuse") in told(judged(lateral, view="LATERAL"))
    assert judged(lateral, GateSettings(lateral="ignore"), view="LATERAL").passed


def test_a_header_that_calls_a_lateral_frontal_is_doubted(films: dict[str, Pixels]) -> None:
    assert told(judged(films["LATERAL"], view="PA")) == [("lateral", "warn")]


def test_a_chest_that_is_cut_off_is_called_that_and_nothing_else(frontal: Pixels) -> None:
    warned = judged(frontal[:, 60:])
    assert told(warned) == [("cropped", "warn")]
    # So much is gone that the pixels are those of no whole chest film; widened on that side they are.
    strict = {"least_frontal": 0.5, "doubtful_frontal": 0.5}
    assert told(judged(frontal[80:], GateSettings.model_validate(strict))) == [("cropped", "refuse")]
    unasked = GateSettings.model_validate(strict | {"checks": {"cropped": "ignore"}})
    assert told(judged(frontal[80:], unasked)) == [("not_chest", "refuse")]


def test_what_is_no_chest_by_header_and_pixels_is_not_called_by_another_name(frontal: Pixels) -> None:
    negative = 255 - frontal
    assert told(judged(negative, body_part="CHEST")) == [("inverted", "refuse")]
    assert told(judged(negative, body_part="HIP")) == [("not_chest", "refuse"), ("body_part", "warn")]
    assert told(judged(frontal, body_part="HIP")) == [("body_part", "warn")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda film: np.rint(255 * (film / 255) ** 4), "brightness"),
        (lambda film: np.rint(255 * (film / 255) ** 0.15), "brightness"),
        (lambda film: np.clip(film.astype(int) - 130, 0, None) * 2, "clipping"),
        (lambda film: np.clip(film.astype(int) * 2, 0, 255), "clipping"),
        (lambda film: 110 + film // 8, "contrast"),
        (lambda film: film // 32 * 36, "levels"),
    ],
    ids=["dark", "bright", "black", "white", "flat", "steps"],
)
def test_a_badly_exposed_film_passes_with_a_warning(
    frontal: Pixels, change: Callable[[Pixels], Pixels], code: str
) -> None:
    verdict = judged(change(frontal).astype(np.uint8))
    assert (verdict.passed, (code, "warn") in told(verdict)) == (True, True)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 700), (700, 1), (2, 3), (20_000, 10), (10, 20_000), (3_000, 1), (128, 128)], ids=str
)
@pytest.mark.parametrize("fill", ["black", "white", "grey", "noise", "ramp", "two greys"])
def test_no_picture_is_too_odd_to_be_judged(shape: tuple[int, int], fill: str) -> None:
    rng = np.random.default_rng(0)
    film = {
        "black": np.zeros(shape),
        "white": np.full(shape, 255),
        "grey": np.full(shape, 117),
        "noise": rng.integers(0, 256, shape),
        "ramp": np.linspace(0, 255, shape[0] * shape[1]).reshape(shape),
        "two greys": rng.integers(0, 2, shape) * 255,
    }[fill]
    verdict = judged(film.astype(np.uint8))
    assert verdict.reasons
    assert all(np.isfinite(number) for number in verdict.numbers.values())


@pytest.mark.parametrize("mode", ["16 bit", "palette", "1 bit", "grey and alpha"])
@pytest.mark.parametrize("size", [(90, 120), (1, 8), (8, 1), (1, 1)], ids=str)
def test_pictures_of_every_depth_are_judged(mode: str, size: tuple[int, int]) -> None:
    grey = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    picture = {
        "16 bit": Image.fromarray(grey.astype(np.uint16) * 257),
        "palette": Image.fromarray(grey).convert("P"),
        "1 bit": Image.fromarray(grey).convert("1"),
        "grey and alpha": Image.fromarray(grey).convert("LA"),
    }[mode]
    content = io.BytesIO()
    picture.save(content, "PNG")
    assert read_received(content.getvalue(), AS_IT_IS).verdict.reasons


def test_between_the_two_limits_the_reader_is_warned(frontal: Pixels) -> None:
    turned = np.rot90(frontal)
    never = GateSettings(least_frontal=0.0, doubtful_frontal=0.5)
    [reason] = judged(turned, never).reasons
    assert (reason.code, reason.action, "may" in reason.words) == ("turned", "warn", True)
    assert judged(turned, GateSettings(turned="ignore")).passed


def test_all_is_told_at_once_and_refusals_first(frontal: Pixels) -> None:
    film = Film(np.ascontiguousarray(np.rot90(frontal)), modality="CT", body_part="SKULL", burned_in=True)
    reasons = told(judge_film(film, 3.0, AS_IT_IS))
    assert {code for code, action in reasons if action == "refuse"} == {"modality", "turned"}
    assert {code for code, action in reasons if action == "warn"} == {"body_part", "child", "burned_in"}
    assert [action for _, action in reasons] == sorted(action for _, action in reasons)


class Known(Familiarity):
    def __init__(self, share: float) -> None:
        self.share, self.asked = share, 0

    def share_as_far(self, pixels: Pixels) -> float:
        self.asked += 1
        return self.share


def test_a_film_unlike_the_known_ones_is_warned_of(frontal: Pixels) -> None:
    unlike = judge_film(Film(frontal), None, AS_IT_IS, Known(0.001))
    assert (unlike.passed, told(unlike), unlike.reasons[0].value) == (True, [("unlike", "warn")], 0.001)
    assert judge_film(Film(frontal), None, AS_IT_IS, Known(0.3)).reasons == ()
    ignoring, known = GateSettings(unlike="ignore"), Known(0.001)
    assert judge_film(Film(frontal), None, ignoring, known).reasons == ()
    assert judge_film(Film(np.zeros((99, 99), np.uint8)), None, AS_IT_IS, known).reasons[0].code == "blank"
    assert known.asked == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"checks": {"turnt": "warn"}},
        {"checks": {"duplicate_images": "warn"}},
        {"least_frontal": 0.6, "doubtful_frontal": 0.4},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GateSettings.model_validate(settings)


def test_text_on_the_film_is_looked_for_where_asked(frontal: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radlet.reading.gate.count_text", lambda pixels: (2, 1))
    reading = GateSettings(burned_in_text="warn")
    assert [(one.code, one.value) for one in judged(frontal, reading).reasons] == [("burned_in_text", 3)]
    assert told(judged(frontal, reading, burned_in=True)) == [("burned_in", "warn")]
    assert judged(frontal).reasons == ()


def test_the_reader_of_text_has_to_be_installed(frontal: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radlet.data.extra.find_spec", lambda name: None)
    monkeypatch.setattr("radlet.data.burned_in._reader", _reader.__wrapped__)
    with pytest.raises(ConfigError, match="rapidocr"):
        judged(frontal, GateSettings(burned_in_text="warn"))


def test_a_file_is_judged_as_its_bytes_are(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.dcm", 1, PatientAge="009Y", Modality="CT")
    verdict = judge_file(film, AS_IT_IS)
    assert verdict == read_received(film.read_bytes(), AS_IT_IS).verdict
    assert {"child", "modality"} <= {reason.code for reason in verdict.reasons}
