import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.fixtures.dicom_node import drafted, film, open_room

from radlet.core.errors import ConfigError, DataError
from radlet.pacs.exports.hl7 import escaped
from radlet.pacs.node import looking
from radlet.pacs.outputs.facts import DraftFacts, gather
from radlet.pacs.outputs.identity import NOTICE, uid_of
from radlet.pacs.outputs.making import MAKERS, make_file
from radlet.pacs.outputs.text_sr import sentences
from radlet.pacs.reporting import report_file
from radlet.reading.room import ReadingRoom
from radlet.reading.store.store import StateError

TEXT = "The heart is enlarged. There is a left pleural effusion. No pneumothorax."


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path_factory.mktemp("outputs"))
    yield opened
    opened.close(5)
    opened.store.close()


@pytest.fixture(scope="module")
def facts(room: ReadingRoom, tmp_path_factory: pytest.TempPathFactory) -> DraftFacts:
    draft = drafted(room, film(tmp_path_factory.mktemp("film"), 1), TEXT)
    return gather(room.store, room.store.study(draft.study_id), draft, looking(room))


@pytest.mark.parametrize("kind", MAKERS)
def test_outputs_keep_the_study_and_say_that_they_are_unverified(facts: DraftFacts, kind: str) -> None:
    made = dcmread(BytesIO(make_file(kind, facts)))
    source = facts.source_header()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
        assert str(made[keyword].value) == str(source[keyword].value)
    assert NOTICE in str(made)
    assert facts.draft.checkpoint_digest in str(made)
    assert source.SOPInstanceUID in str(made)
    assert made.SeriesInstanceUID != source.SeriesInstanceUID


def test_reports_are_flagged_preliminary(facts: DraftFacts) -> None:
    for kind in ("text_sr", "comprehensive_sr"):
        made = dcmread(BytesIO(make_file(kind, facts)))
        assert (made.VerificationFlag, made.CompletionFlag, made.PreliminaryFlag) == (
            "UNVERIFIED",
            "PARTIAL",
            "PRELIMINARY",
        )
        told = [str(element.value) for element in made.iterall() if element.keyword == "TextValue"]
        assert [line for line in told if line in TEXT] == sentences(facts)


def test_the_same_draft_gives_the_same_file(facts: DraftFacts) -> None:
    for kind in ("text_sr", "pdf"):
        assert make_file(kind, facts) == make_file(kind, facts)
    assert len({uid_of(facts.draft.id, kind, "instance") for kind in MAKERS}) == len(MAKERS)


def test_regions_lie_in_the_source_image(facts: DraftFacts) -> None:
    assert [region.observation for region in facts.regions] == ["Cardiomegaly", "Pleural Effusion"]
    made = dcmread(BytesIO(make_file("comprehensive_sr", facts)))
    graphics = [
        np.array(item.GraphicData).reshape(-1, 2)
        for group in made.ContentSequence
        if group.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
        for one in group.ContentSequence
        for item in one.ContentSequence
        if item.ValueType == "SCOORD"
    ]
    assert len(graphics) == sum(len(region.outlines) for region in facts.regions)
    size = (facts.source_header().Columns, facts.source_header().Rows)
    assert all((points >= 0).all() and (points <= size).all() for points in graphics)


def test_the_capture_shows_the_film_with_words_below(facts: DraftFacts) -> None:
    made = dcmread(BytesIO(make_file("capture", facts)))
    assert made.BurnedInAnnotation == "YES"
    assert made.Rows > made.Columns  # a square film, and the draft below it
    pixels = made.pixel_array
    coloured = (pixels.max(-1).astype(int) - pixels.min(-1)) > 60
    assert coloured[: made.Columns].any()


def test_exports_are_preliminary_and_hold_the_draft(room: ReadingRoom, facts: DraftFacts) -> None:
    study = facts.study.id
    bundle = json.loads(report_file(room.store, study, "fhir", "test"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    report = resources[0]
    assert (report["resourceType"], report["status"]) == ("DiagnosticReport", "preliminary")
    assert TEXT in report["conclusion"]
    assert NOTICE in report["conclusion"]
    addresses = {entry["fullUrl"] for entry in bundle["entry"]}
    assert {one["reference"] for one in [*report["result"], *report["imagingStudy"]]} <= addresses
    message = report_file(room.store, study, "hl7", "test").decode().split("\r")
    assert message[0].startswith("MSH|^~\\&|radlet|")
    assert {row.split("|")[11] for row in message if row.startswith("OBX")} == {"P"}
    assert any(row.split("|")[5] == "No pneumothorax." for row in message if row.startswith("OBX"))


def test_hl7_delimiters_are_escaped() -> None:
    assert escaped("a|b^c&d~e\\f\rg") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f g"


def test_what_cannot_be_exported_is_told(room: ReadingRoom, facts: DraftFacts, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="comprehensive_sr"):
        report_file(room.store, facts.study.id, "docx", "test")
    with pytest.raises(DataError, match="no such study"):
        report_file(room.store, "1.2.3", "text_sr", "test")
    png = tmp_path / "film.png"
    Image.fromarray(facts.film).save(png)
    received = room.keep(room.read(png.read_bytes()), "test", "upload")
    with pytest.raises(StateError, match="no draft"):
        report_file(room.store, received.study_id, "text_sr", "test")
    room.draft(received.study_id, "test")
    with pytest.raises(DataError, match="fhir or hl7"):
        report_file(room.store, received.study_id, "text_sr", "test")
