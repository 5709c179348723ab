import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import ref

import pytest
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import OPEN_GATE, make_served

from radlet.core.errors import DataError
from radlet.data.film import DeepFilm, Film
from radlet.data.images import read_deep_film, read_film_bytes
from radlet.inference.drafter import DraftRequest
from radlet.models.report_model import save_report_model
from radlet.reading.evidence import sentences_of
from radlet.reading.gate import GateSettings
from radlet.reading.opening import show_deep_film
from radlet.reading.room import NoFilmError, ReadingRoom, RoomSettings
from radlet.reading.served_model import ServedModel
from radlet.reading.store.basis import NotThereError, StateError
from radlet.reading.store.store import Store


def open_room(folder: Path, gate: GateSettings = OPEN_GATE) -> ReadingRoom:
    return ReadingRoom(Store(folder / "data"), make_served(), RoomSettings(gate=gate))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path)
    yield opened
    opened.close(0)
    opened.store.close()


def test_a_draft_carries_its_lineage(room: ReadingRoom, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.dcm", 1, ReasonForTheRequestedProcedure="Cough.", PatientID="P1")
    received = room.keep(room.read(film.read_bytes()), "dicom", "dicom")
    draft = room.draft(received.study_id, "anna")
    study = room.store.study(received.study_id)
    expected = room.queue.run(lambda drafter: drafter.draft([DraftRequest((film,), "Cough.")])[0])
    assert draft.text == expected
    assert "Cough." in draft.prompt
    assert (draft.checkpoint_digest, draft.engine) == (room.identity.checkpoint_digest, "transformers")
    assert draft.image_path_digest == room.queue.drafter.card.image_digest
    assert (study.patient_id, study.state, study.images[0].view) == ("P1", "drafted", "PA")


def test_a_lateral_beside_a_frontal_is_passed_over(tmp_path: Path) -> None:
    room = open_room(tmp_path, GateSettings(not_chest="ignore", checks={}))
    for number, view in ((1, "LL"), (2, "PA")):
        tags = {"ViewPosition": view, "StudyInstanceUID": "1.2", "PatientID": "P1"}
        film = write_film(tmp_path / f"{number}.dcm", number, **tags)
        study_id = room.keep(room.read(film.read_bytes()), "dicom", "dicom").study_id
    draft = room.draft(study_id, "anna")
    chosen = next(image for image in room.store.study(study_id).images if image.id == draft.image_id)
    assert chosen.sop_instance_uid == "1.2.826.0.1.2"
    room.close(0)


def test_a_study_without_a_film_that_passes_is_refused_by_name_of_the_reason(tmp_path: Path) -> None:
    room = open_room(tmp_path, GateSettings(not_chest="ignore", checks={}))
    film = write_film(tmp_path / "1.dcm", 1, Modality="CT")
    study_id = room.keep(room.read(film.read_bytes()), "dicom", "dicom").study_id
    with pytest.raises(NoFilmError) as told:
        room.draft(study_id, "anna")
    assert [reason.code for verdict in told.value.verdicts.values() for reason in verdict.reasons] == ["modality"]
    assert room.store.study(study_id).state == "refused"
    room.close(0)


def test_a_child_is_warned_of_and_drafted(tmp_path: Path) -> None:
    room = open_room(tmp_path, GateSettings(not_chest="ignore", checks={}))
    film = write_film(tmp_path / "1.dcm", 1, PatientAge="", PatientBirthDate="20150101")
    received = room.keep(room.read(film.read_bytes()), "dicom", "dicom")
    assert [(reason.code, reason.action) for reason in received.verdict.reasons] == [("child", "warn")]
    assert room.draft(received.study_id, "anna").gate["reasons"][0]["code"] == "child"
    room.close(0)


def test_a_verdict_is_that_of_the_film_that_is_kept(tmp_path: Path) -> None:
    room = open_room(tmp_path, GateSettings(not_chest="ignore", checks={}))
    refused = write_film(tmp_path / "1.dcm", 1, Modality="CT")
    received = room.keep(room.read(refused.read_bytes()), "anna", "upload")
    # Another file that says it is the same film.
    passing = write_film(tmp_path / "2.dcm", 2, SOPInstanceUID="1.2.826.0.1.1")
    again = room.keep(room.read(passing.read_bytes()), "anna", "upload")
    assert (again.image_id, again.new, again.verdict.passed) == (received.image_id, False, True)
    assert not room.judge(room.store.study(received.study_id))[received.image_id].passed
    room.close(0)
    room.store.close()


def test_evidence_of_another_models_draft_is_refused(room: ReadingRoom, tiny_films: list[Path]) -> None:
    study_id = room.keep(room.read(tiny_films[0].read_bytes()), "u", "upload").study_id
    draft, study = room.draft(study_id, "anna"), room.store.study(study_id)
    assert room.evidence(study, draft, 0).weights.sum() == pytest.approx(1)
    with pytest.raises(NotThereError, match="sentence"):
        room.evidence(study, draft, 99)
    room.swap(make_served(name="other"))
    assert room.identity.name == "other"
    with pytest.raises(StateError, match="Another model"):
        room.evidence(study, draft, 0)
    assert room.draft(study_id, "anna").model == "other"


def test_where_a_model_looked_is_not_asked_of_another(room: ReadingRoom, tiny_films: list[Path]) -> None:
    request = DraftRequest((tiny_films[0],))
    text, drafter = room.write(request, None)
    assert [span for span, _ in room.looked(request, text, drafter)] == sentences_of(text)
    room.swap(make_served(name="other"))
    assert room.looked(request, text, drafter) == []


def test_a_model_that_was_swapped_is_let_go_of(room: ReadingRoom, tiny_films: list[Path]) -> None:
    room.write(DraftRequest((tiny_films[0],)), None)
    before = ref(room.queue.drafter)
    room.swap(make_served(name="other"))
    deadline = time.monotonic() + 10
    while before() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert before() is None


def test_films_in_full_size_are_held_two_at_a_time_and_no_longer_than_needed(
    room: ReadingRoom, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    met, most, held = threading.Barrier(2, timeout=20), 0, 0

    def counted(content: bytes) -> Film:
        nonlocal most, held
        held += 1
        met.wait()
        most = max(most, held)
        met.wait()
        held -= 1
        return read_film_bytes(content)

    monkeypatch.setattr("radlet.reading.opening.read_film_bytes", counted)
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(lambda film: room.read(film.read_bytes()), tiny_films[:6]))
    assert most == 2
    slim = read[0].without_pixels()
    assert slim.film.pixels.base.nbytes == 1
    assert slim.film.pixels.shape == read[0].film.pixels.shape
    assert room.store.image(room.keep(slim, "u", "upload").image_id).height_px == read[0].film.pixels.shape[0]


def test_films_that_are_looked_at_are_read_two_at_a_time(
    tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    met, most, held = threading.Barrier(2, timeout=20), 0, 0

    def counted(path: Path) -> DeepFilm:
        nonlocal most, held
        held += 1
        met.wait()
        most = max(most, held)
        met.wait()
        held -= 1
        return read_deep_film(path)

    monkeypatch.setattr("radlet.reading.opening.read_deep_film", counted)
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(show_deep_film, tiny_films[:6]))) == 6
    assert most == 2


def test_bytes_that_are_no_film_are_refused(room: ReadingRoom) -> None:
    with pytest.raises(DataError, match="neither"):
        room.read(b"no film")


def test_a_model_is_known_by_its_files(tmp_path: Path) -> None:
    model = make_served().drafter.report_model
    save_report_model(model, tmp_path / "checkpoint", None)
    first = ServedModel.load(tmp_path / "checkpoint").identity
    assert first == ServedModel.load(tmp_path / "checkpoint").identity
    assert first.name == f"radlet-{first.checkpoint_digest[:12]}"
    readme = tmp_path / "checkpoint" / "generation_config.json"
    readme.write_text(readme.read_text() + "\n")
    assert ServedModel.load(tmp_path / "checkpoint").identity.checkpoint_digest != first.checkpoint_digest


def test_a_film_that_is_kept_is_judged_once(
    tmp_path: Path, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = open_room(tmp_path)
    try:
        received = room.keep(room.read(tiny_films[0].read_bytes()), "someone", "upload")
        monkeypatch.setattr("radlet.reading.room.judge_file", None)
        assert room.ask(received.study_id, "someone").verdict == received.verdict
    finally:
        room.close(0)
        room.store.close()
