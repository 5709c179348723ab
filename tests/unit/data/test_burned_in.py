import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from radlet.core.errors import ConfigError
from radlet.data import extra
from radlet.data.burned_in import check_burned_in, require_reader, suspicious
from radlet.data.film import Film
from radlet.data.refusal import QuarantineError
from radlet.data.sources.synthetic import SyntheticSource


@pytest.mark.parametrize(
    "text",
    [
        "1545HRS",
        "18.20 hrs",
        "Page: 1 of 1",
        "PAERECT",
        "L",
        "R",
        "PA",
        "AP ERECT",
        "PORTABLE",
        "SUPINE 40 INCHES",
        "120 kVp",
        "2.5 mAs",
        "LT sch",
        "10:35",
        "LAT",
        "",
        "—",
    ],
)
def test_markers_may_stand_on_a_film(text):
    assert suspicious(text) == (0, 0)


@pytest.mark.parametrize(
    "text",
    ["QUEZALDA", "Wimpole^Ann", "L QUEZALDA", "1937-04-12", "12/04/37", "7731905", "MRN 77 31 905", "KIM LEE", "1234"],
)
def test_names_and_numbers_may_not(text):
    assert suspicious(text) != (0, 0)


def film_with(text, height_px):
    [raw] = list(SyntheticSource(num_patients=1, max_studies_per_patient=1, lateral_share=0, size_px=512).studies(3))
    [pixels] = raw.pixels.values()
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((20, 20), text, fill=255, font=ImageFont.load_default(height_px))
    return Film(np.asarray(image))


class TestReader:
    pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("rapidocr")
        pytest.importorskip("onnxruntime")

    @pytest.mark.parametrize("text", ["QUEZALDA, HORTENSIA", "MRN 7731905", "1937-04-12"])
    def test_planted_text_is_held_and_never_quoted(self, text):
        with pytest.raises(QuarantineError) as held:
            check_burned_in(film_with(text, 24))
        assert not any(part in str(held.value) for part in ("QUEZALDA", "7731905", "1937"))

    @pytest.mark.parametrize("text", ["", "L", "PA ERECT"])
    def test_films_with_markers_pass(self, text):
        check_burned_in(film_with(text, 24))


def test_a_declared_annotation_is_believed():
    with pytest.raises(QuarantineError, match="Burned In Annotation"):
        check_burned_in(Film(np.zeros((32, 32), np.uint8), burned_in=True))


def test_a_missing_reader_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rapidocr.*radlet\[deidentify\]"):
        require_reader()
