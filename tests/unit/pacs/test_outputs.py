import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.fixtures.dicom_node import drafted, film, keep, open_room

from radlet.core.errors import ConfigError, DataError
from radlet.pacs.delivering import PeerDeliveries
from radlet.pacs.exports.hl7 import escaped, oru_r01
from radlet.pacs.node import looking
from radlet.pacs.outputs.facts import Part, ReportFacts, gather, gather_signed, regions_of
from radlet.pacs.outputs.identifiers import uid_of
from radlet.pacs.outputs.making import MAKERS, make_file
from radlet.pacs.outputs.reports import NOTICE, Signing
from radlet.pacs.reporting import report_file
from radlet.pacs.settings import Delivery
from radlet.reading.draft_queue import ClosedError
from radlet.reading.evidence import Evidence
from radlet.reading.room import ReadingRoom
from radlet.reading.store.basis import Basis, StateError
from radlet.reading.store.tables import StudyRow

TEXT = "The heart is enlarged. There is a left pleural effusion. No pneumothorax."
SIGNED_TEXT = "Findings: The heart is large.\nImpression: Cardiomegaly."
SIGNING = Signing("St. Mary", {"anna": "Weber^Anna^^Dr."})


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path_factory.mktemp("outputs"))
    yield opened
    opened.close(5)
    opened.store.close()


@pytest.fixture(scope="module")
def facts(room: ReadingRoom, tmp_path_factory: pytest.TempPathFactory) -> ReportFacts:
    draft = drafted(room, film(tmp_path_factory.mktemp("film"), 1), TEXT)
    return gather(room.store, room.store.study(draft.study_id), draft, looking(room))


@pytest.mark.parametrize("kind", MAKERS)
def test_outputs_keep_the_study_and_say_that_they_are_unverified(facts: ReportFacts, kind: str) -> None:
    made = dcmread(BytesIO(make_file(kind, facts)))
    source = facts.source_header()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
        assert str(made[keyword].value) == str(source[keyword].value)
    assert NOTICE in str(made)
    assert facts.draft.checkpoint_digest in str(made)
    assert source.SOPInstanceUID in str(made)
    assert made.SeriesInstanceUID != source.SeriesInstanceUID


def test_reports_are_flagged_preliminary(facts: ReportFacts) -> None:
    for kind in ("text_sr", "comprehensive_sr"):
        made = dcmread(BytesIO(make_file(kind, facts)))
        assert (made.VerificationFlag, made.CompletionFlag, made.PreliminaryFlag) == (
            "UNVERIFIED",
            "PARTIAL",
            "PRELIMINARY",
        )
        told = [str(element.value) for element in made.iterall() if element.keyword == "TextValue"]
        assert [line for line in told if line in TEXT] == list(facts.report.lines)


def test_the_same_draft_gives_the_same_file(facts: ReportFacts) -> None:
    for kind in ("text_sr", "pdf"):
        assert make_file(kind, facts) == make_file(kind, facts)
    assert len({uid_of(facts.draft.id, kind, "instance") for kind in MAKERS}) == len(MAKERS)


@pytest.mark.parametrize(("offset", "kept"), [("+0530", "+0530"), ("-0800", "-0800"), ("nonsense", None)])
def test_times_are_in_the_zone_of_the_film(room: ReadingRoom, tmp_path: Path, offset: str, kept: str | None) -> None:
    path = film(tmp_path, 20 + len(offset) + ord(offset[0]))
    item = dcmread(path)
    item.add_new("TimezoneOffsetFromUTC", "SH", offset)
    item.save_as(path)
    draft = drafted(room, path, TEXT)
    made = dcmread(BytesIO(make_file("text_sr", gather(room.store, room.store.study(draft.study_id), draft, None))))
    assert made.get("TimezoneOffsetFromUTC") == kept
    told = datetime.strptime(made.ContentDate + made.ContentTime[:6] + (kept or "+0000"), "%Y%m%d%H%M%S%z")
    zone = draft.created_at if kept else draft.created_at.astimezone().replace(tzinfo=UTC)
    assert told == zone.replace(microsecond=0)


def test_regions_lie_in_the_source_image(facts: ReportFacts) -> None:
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


def test_regions_are_not_left_out_because_the_model_is_being_stopped(facts: ReportFacts) -> None:
    def closed(*_: object) -> tuple[Evidence, Part]:
        raise ClosedError("The service is stopping.")

    with pytest.raises(ClosedError):
        regions_of(facts.study, facts.draft, closed)


def test_the_capture_shows_the_film_with_words_below(facts: ReportFacts) -> None:
    made = dcmread(BytesIO(make_file("capture", facts)))
    assert made.BurnedInAnnotation == "YES"
    assert made.Rows > made.Columns  # a square film, and the draft below it
    pixels = made.pixel_array
    coloured = (pixels.max(-1).astype(int) - pixels.min(-1)) > 60
    assert coloured[: made.Columns].any()


def test_exports_are_preliminary_and_hold_the_draft(room: ReadingRoom, facts: ReportFacts) -> None:
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


@pytest.fixture(scope="module")
def signed(room: ReadingRoom, tmp_path_factory: pytest.TempPathFactory) -> ReportFacts:
    """A draft that was delivered, and the report that was signed in its place."""
    folder = tmp_path_factory.mktemp("signed")
    room.deliveries = PeerDeliveries([Delivery(to="pacs", kinds=("text_sr", "capture"), signed=("text_sr",))])
    draft = drafted(room, film(folder, 7), TEXT)
    signature = room.sign(draft.study_id, SIGNED_TEXT, "anna")
    room.deliveries = None
    return gather_signed(room.store, room.store.study(draft.study_id), signature, SIGNING)


def test_a_signed_report_is_complete_verified_and_tells_who_answers_for_it(signed: ReportFacts) -> None:
    made = dcmread(BytesIO(make_file("text_sr", signed)))
    assert (made.VerificationFlag, made.CompletionFlag, made.PreliminaryFlag) == ("VERIFIED", "COMPLETE", "FINAL")
    (observer,) = made.VerifyingObserverSequence
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == ("Weber^Anna^^Dr.", "St. Mary")
    assert observer.VerificationDateTime == signed.report.moment.strftime("%Y%m%d%H%M%S+0000")
    assert "AI draft" not in str(made)
    assert made.SeriesDescription == "Report drafted with AI, signed"
    told = [str(element.value) for element in made.iterall() if element.keyword == "TextValue"]
    assert told[-2:] == SIGNED_TEXT.splitlines()
    assert any(line.startswith("Signed by Dr. Anna Weber, St. Mary, ") for line in told)
    assert "Drafted with AI; the draft was changed before it was signed." in told
    assert f"Version: {signed.draft.checkpoint_digest}" in told
    # Of its draft, what was sent, each kind of SR once.
    (study,) = made.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert [str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence] == [
        uid_of(signed.draft.id, "text_sr", "instance")
    ]
    assert made.SOPInstanceUID == uid_of(signed.report.id, "text_sr", "instance")
    assert make_file("text_sr", signed) == make_file("text_sr", signed)
    pdf = dcmread(BytesIO(make_file("pdf", signed)))
    assert (pdf.VerificationFlag, pdf.DocumentTitle) == ("VERIFIED", "Report drafted with AI, signed")
    with pytest.raises(ConfigError, match="text_sr, pdf, not as capture"):
        make_file("capture", signed)


def test_a_report_that_no_model_drafted_names_none(room: ReadingRoom, tmp_path: Path) -> None:
    study = keep(room, film(tmp_path, 8))
    signature = room.sign(study, "Clear.", "bert@clinic")
    facts = gather_signed(room.store, room.store.study(study), signature, SIGNING)
    made = dcmread(BytesIO(make_file("text_sr", facts)))
    assert str(made.VerifyingObserverSequence[0].VerifyingObserverName) == "bert@clinic"
    assert made.SeriesDescription == "Report, signed"
    told = [str(element.value) for element in made.iterall() if element.keyword == "TextValue"]
    assert told[-1] == "Clear."
    assert told[-2].startswith("Signed by bert@clinic, St. Mary")
    assert not [line for line in told if "AI" in line or "lgorithm" in line]
    assert "PredecessorDocumentsSequence" not in made


def test_signed_exports_are_final_and_the_second_one_amends(room: ReadingRoom, signed: ReportFacts) -> None:
    study = signed.study.id
    report = json.loads(report_file(room.store, study, "fhir", "test", signing=SIGNING))["entry"][0]["resource"]
    assert (report["status"], report["resultsInterpreter"][0]["display"]) == ("final", "Dr. Anna Weber, St. Mary")
    assert SIGNED_TEXT in report["conclusion"]
    assert NOTICE not in str(report)
    assert "result" not in report, "codes that software found are not what somebody signed"
    rows = [
        row.split("|") for row in report_file(room.store, study, "hl7", "test", signing=SIGNING).decode().split("\r")
    ]
    (request,) = (row for row in rows if row[0] == "OBR")
    assert (request[25], request[32]) == ("F", "anna&Weber&Anna&&&Dr.")
    assert {row[11] for row in rows if row[0] == "OBX"} == {"F"}
    room.store.reopen(study, "anna")
    with pytest.raises(StateError, match="not signed"):
        report_file(room.store, study, "fhir", "test", signing=SIGNING)
    again = room.sign(study, "Clear after all.", "anna", based_on=Basis(signed.report.id))
    report = json.loads(report_file(room.store, study, "fhir", "test", signing=SIGNING))["entry"][0]["resource"]
    assert report["status"] == "amended"
    facts = gather_signed(room.store, room.store.study(study), again, SIGNING)
    assert facts.report.signed is not None
    replaced = {str(item.SOPInstanceUID) for item in facts.report.signed.predecessors}
    assert replaced == {uid_of(one, "text_sr", "instance") for one in (signed.report.id, signed.draft.id)}


@pytest.mark.parametrize("turned", [True, False])
def test_the_capture_states_the_orientation_that_the_source_states(
    room: ReadingRoom, tmp_path: Path, turned: bool
) -> None:
    stated = {"PatientOrientation": ["R", "F"], "BodyPartExamined": "CHEST"} if turned else {}
    draft = drafted(room, film(tmp_path, 20 + turned, **stated), "Clear.")
    facts = gather(room.store, room.store.study(draft.study_id), draft, None)
    made = dcmread(BytesIO(make_file("capture", facts)))
    assert (made.PatientOrientation or None) == (["L", "F"] if turned else None)
    assert made.ConversionType == "WSD"


def test_dates_and_times_are_local_as_those_of_the_study(facts: ReportFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 1, 31, 23, 30, 1, 5, tzinfo=UTC)
    told = replace(facts, report=replace(facts.report, moment=moment))
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        made = dcmread(BytesIO(make_file("capture", told)))
    time.tzset()
    assert (made.ContentDate, made.ContentTime, made.InstanceCreationDate) == ("20260201", "050001", "20260201")
    for equipment in made.get("ContributingEquipmentSequence", ()):
        assert equipment.ContributionDateTime == "20260201050001+0530"


@pytest.mark.parametrize("kind", ["fhir", "hl7", "text_sr"])
def test_a_day_that_does_not_exist_is_left_out(room: ReadingRoom, tmp_path: Path, kind: str) -> None:
    draft = drafted(room, film(tmp_path, 30, StudyDate="20230231"), "Clear.")
    made = report_file(room.store, draft.study_id, kind, "test")
    assert not [day for day in (b"20230231", b"2023-02-31") if day in made]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Yamada^Tarou^^Dr.^Jr.=\u5c71\u7530^\u592a\u90ce", "Yamada^Tarou^^Jr.^Dr."),
        ("=\u5c71\u7530^\u592a\u90ce", "\u5c71\u7530^\u592a\u90ce"),
        ("Doe^Jane", "Doe^Jane"),
    ],
)
def test_a_name_stands_in_the_order_of_hl7(facts: ReportFacts, name: str, told: str) -> None:
    study = StudyRow(id="1", origin="test", patient_name=name)
    message = oru_r01(replace(facts, study=study)).decode()
    (line,) = (line for line in message.split("\r") if line.startswith("PID"))
    assert line.split("|")[5] == told


def test_hl7_delimiters_are_escaped() -> None:
    assert escaped("a|b^c&d~e\\f\rg") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f g"


def test_what_cannot_be_exported_is_told(room: ReadingRoom, facts: ReportFacts, tmp_path: Path) -> None:
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
