import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from radlet.core.errors import ConfigError, DataError
from radlet.reading.store import audit
from radlet.reading.store.basis import Basis, NotThereError, OvertakenError, StateError
from radlet.reading.store.database import open_database, sqlite_url
from radlet.reading.store.films import PRIOR, NewFilm, NewStudy
from radlet.reading.store.store import Store
from radlet.reading.store.tables import Base, DraftRow
from radlet.reading.store.troubles import FullError

STUDY = NewStudy(origin="upload", study_uid="1.2.3", patient_id="P1", patient_name="DOE^JANE", study_date="20260102")


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    with Store(tmp_path / "data", database_url) as opened:
        yield opened


def film(number: int, content: bytes = b"film") -> NewFilm:
    return NewFilm(content, ".dcm", 10, 8, sop_instance_uid=f"1.2.3.{number}", series_uid="1.2.3")


def draft(study_id: str, image_id: str) -> DraftRow:
    return DraftRow(
        study_id=study_id,
        image_id=image_id,
        text="The lungs are clear.",
        model="tiny",
        checkpoint_digest="c",
        image_path_digest="i",
        engine="transformers",
        prompt="",
        sampling={},
        radlet_version="0",
        gate={},
        seconds=0.1,
    )


def test_the_migrations_make_the_tables_that_the_code_has(tmp_path: Path, database_url: str | None) -> None:
    engine = open_database(database_url or sqlite_url(tmp_path))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_film_is_kept_once_and_its_file_is_what_came_in(store: Store) -> None:
    study_id, image_id, new = store.add_film(STUDY, film(1, b"pixels"), "dicom")
    assert new
    assert store.add_film(STUDY, film(1, b"pixels"), "dicom") == (study_id, image_id, False)
    assert store.add_film(STUDY, film(2), "dicom")[0] == study_id
    study = store.study(study_id)
    assert [image.position for image in study.images] == [0, 1]
    assert store.path_of(study.images[0]).read_bytes() == b"pixels"
    assert len(list((store.data_dir / "films").rglob("*.dcm"))) == 2
    assert "DOE" not in "".join(str(path) for path in store.data_dir.rglob("*"))


def test_of_films_that_come_together_all_are_kept_or_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail_at_the_third_file(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 5:  # each file, and its folder
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail_at_the_third_file)
        with pytest.raises(FullError):
            store.add_films([(STUDY, film(number)) for number in range(3)], "anna")
    assert store.worklist() == ([], 0)
    assert not list((store.data_dir / "films").rglob("*.*"))
    kept = store.add_films([(STUDY, film(number)) for number in (1, 2, 1)], "anna")
    assert [new for *_, new in kept] == [True, True, False]
    assert kept[0][:2] == kept[2][:2]
    assert len(list((store.data_dir / "films").rglob("*.*"))) == 2


def test_films_of_two_patients_are_not_one_study(store: Store) -> None:
    store.add_film(STUDY, film(1), "dicom")
    with pytest.raises(DataError, match="another patient"):
        store.add_film(replace(STUDY, patient_id="P2"), film(2), "dicom")
    assert store.worklist()[0][0].patient_id == "P1"
    assert len(list((store.data_dir / "films").rglob("*.*"))) == 1


def test_many_threads_with_the_same_films_keep_each_once(store: Store) -> None:
    threads = [
        threading.Thread(target=lambda: [store.add_film(STUDY, film(number), "dicom") for number in range(6)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, total = store.worklist()
    assert total == 1
    assert sorted(image.position for image in found[0].images) == list(range(6))
    assert len(list((store.data_dir / "films").rglob("*.dcm"))) == 6
    assert audit.verify(store.audit_lines()).broken_at is None


def test_a_study_goes_from_new_to_signed(store: Store) -> None:
    study_id, image_id, _ = store.add_film(STUDY, film(1), "dicom")
    assert store.study(study_id).state == "new"
    written = store.add_draft(draft(study_id, image_id), "model")
    assert store.study(study_id).state == "drafted"
    edit = store.save_edit(study_id, "Clear.", "anna", reading_s=12.5)
    assert store.study(study_id).state == "edited"
    signature = store.sign(study_id, "Clear.", "anna", based_on=Basis(edit.id))
    assert (store.study(study_id).state, signature.draft_id) == ("signed", written.id)
    for change in (store.save_edit, store.sign):
        with pytest.raises(StateError, match="is signed"):
            change(study_id, "x", "b", based_on=Basis(signature.id))
    # A draft that comes late leaves what a person has signed alone.
    with pytest.raises(StateError, match="signed"):
        store.add_draft(draft(study_id, image_id), "model")
    assert len(store.study(study_id).drafts) == 1
    store.reopen(study_id, "anna")
    assert store.study(study_id).state == "edited"
    assert len(store.study(study_id).signatures) == 1


def test_a_text_does_not_cover_one_that_its_writer_has_not_seen(store: Store) -> None:
    study_id, *_ = store.add_film(STUDY, film(1), "dicom")
    edit = store.save_edit(study_id, "By Anna.", "anna")
    signature = store.sign(study_id, "By Anna, signed.", "anna", based_on=Basis(edit.id))
    for stale in (None, edit.id, "none"):
        for change in (store.save_edit, store.sign):
            with pytest.raises(OvertakenError, match="Nothing was changed"):
                change(study_id, "By Ben.", "ben", based_on=Basis(stale))
    store.reopen(study_id, "ben")
    with pytest.raises(OvertakenError):
        store.save_edit(study_id, "By Ben.", "ben", based_on=Basis(edit.id))
    last = store.save_edit(study_id, "By Ben.", "ben", based_on=Basis(signature.id))
    study = store.study(study_id)
    assert study.last_text is not None
    assert (study.last_text.id, [one.text for one in study.edits]) == (last.id, ["By Anna.", "By Ben."])


def test_a_study_that_was_fetched_as_a_prior_is_read_once_it_comes_by_itself(store: Store) -> None:
    prior = replace(STUDY, origin=PRIOR)
    study_id, *_ = store.add_film(prior, film(1), "node")
    store.add_film(STUDY, film(1), "node")
    assert store.study(study_id).origin == STUDY.origin
    store.add_film(prior, film(2), "node")
    assert store.study(study_id).origin == STUDY.origin


def test_the_first_draft_is_kept_of_a_new_study_alone(store: Store) -> None:
    study_id, image_id, _ = store.add_film(STUDY, film(1), "dicom")
    store.add_draft(draft(study_id, image_id), "node", first=True)
    with pytest.raises(StateError, match="meanwhile"):
        store.add_draft(draft(study_id, image_id), "node", first=True)
    assert len(store.study(study_id).drafts) == 1


def test_a_text_names_the_draft_that_its_writer_saw(store: Store) -> None:
    study_id, image_id, _ = store.add_film(STUDY, film(1), "dicom")
    seen = store.add_draft(draft(study_id, image_id), "anna")
    store.add_draft(draft(study_id, image_id), "node")
    edit = store.save_edit(study_id, "Clear.", "anna", based_on=Basis(draft_id=seen.id))
    assert edit.draft_id == seen.id
    assert store.save_edit(study_id, "Clear!", "anna", based_on=Basis(edit.id)).draft_id is None
    with pytest.raises(NotThereError, match="no such draft"):
        store.sign(study_id, "Clear.", "anna", based_on=Basis(store.study(study_id).last_text.id, "another's"))
    assert store.study(study_id).state == "edited"


def test_of_many_texts_written_from_one_the_first_is_kept(store: Store) -> None:
    study_id, *_ = store.add_film(STUDY, film(1), "dicom")
    kept: list[str] = []

    def save(name: str) -> None:
        with contextlib.suppress(OvertakenError):
            kept.append(store.save_edit(study_id, name, name).id)

    threads = [threading.Thread(target=save, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.id for one in store.study(study_id).edits] == kept
    assert len(kept) == 1


def test_the_worklist_is_found_by_state_and_words(store: Store) -> None:
    first, *_ = store.add_film(STUDY, film(1), "dicom")
    other = NewStudy(origin="upload", study_uid="9", patient_id="P_2", patient_name="ROE^MAX")
    second, image_id, _ = store.add_film(other, NewFilm(b"x", ".png", 1, 1), "upload")
    store.add_draft(draft(second, image_id), "model")
    assert [row.id for row in store.worklist()[0]] == [second, first]
    assert [row.id for row in store.worklist(state="drafted")[0]] == [second]
    assert [row.id for row in store.worklist(words="jane")[0]] == [first]
    # Signs that the database would take for any letters are letters.
    assert [row.id for row in store.worklist(words="P_")[0]] == [second]
    page, total = store.worklist(limit=1, offset=1)
    assert ([row.id for row in page], total) == ([first], 2)


def test_priors_are_the_patients_other_studies_latest_first(store: Store) -> None:
    ids = [
        store.add_film(
            NewStudy(origin="dicom", study_uid=uid, patient_id="P1", study_date=date), NewFilm(b"x", ".png", 1, 1), "d"
        )[0]
        for uid, date in (("a", "20240101"), ("b", "20250101"), ("c", "20260101"))
    ]
    store.add_film(NewStudy(origin="dicom", study_uid="z"), NewFilm(b"x", ".png", 1, 1), "d")
    assert [row.id for row in store.priors(store.study(ids[2]))] == [ids[1], ids[0]]
    assert [row.id for row in store.priors(store.study(ids[1]))] == [ids[0]]


def test_nobody_else_may_read_the_database_also_in_a_folder_that_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    with Store(folder) as store:
        store.note("anna", "test", "1")
        found = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("store.sqlite*")}
    assert "store.sqlite" in found
    assert set(found.values()) == {0o600}


def test_what_is_not_there_and_what_cannot_be_signed_is_said(store: Store) -> None:
    study_id, *_ = store.add_film(STUDY, film(1), "dicom")
    for missing in (
        lambda: store.study("x"),
        lambda: store.image("x"),
        lambda: store.sign("x", "t", "a"),
        lambda: store.add_feedback("x", "wrong", "", "a"),
    ):
        with pytest.raises(NotThereError):
            missing()
    with pytest.raises(StateError, match="empty"):
        store.sign(study_id, "  ", "anna")


def test_a_change_and_its_audit_line_are_kept_together_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id, *_ = store.add_film(STUDY, film(1), "dicom")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "append", fail)
    with pytest.raises(OSError, match="disk full"):
        store.save_edit(study_id, "x", "anna")
    with pytest.raises(OSError, match="disk full"):
        store.add_film(STUDY, film(2), "dicom")
    assert store.study(study_id).state == "new"
    assert len(list((store.data_dir / "films").rglob("*.dcm"))) == 1


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE audit SET actor = 'other' WHERE number = 2",
        "UPDATE audit SET detail = '{}' WHERE number = 1",
        "DELETE FROM audit WHERE number = 2",
        "UPDATE audit SET at = '2020-01-01 00:00:00' WHERE number = 2",
    ],
    ids=["actor", "detail", "deleted", "time"],
)
def test_a_tampered_audit_log_is_found(store: Store, tamper: str) -> None:
    study_id, *_ = store.add_film(STUDY, film(1), "dicom")
    last = None
    for words in ("one", "two", "three"):
        last = store.save_edit(study_id, words, "anna", based_on=Basis(last)).id
    whole = audit.verify(store.audit_lines())
    assert (whole.num_lines, whole.broken_at) == (4, None)
    with store.writing() as session:
        session.execute(text(tamper))
    broken = audit.verify(store.audit_lines()).broken_at
    assert broken == (1 if "number = 1" in tamper else 2)


def test_a_killed_process_leaves_no_half_study(tmp_path: Path, database_url: str | None) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.unit.reading.store.test_store import STUDY, film\n"
        "from radlet.reading.store.store import Store\n"
        "store = Store(Path(sys.argv[1]), sys.argv[3] or None)\n"
        "for number in range(100000):\n"
        "    store.add_film(STUDY, film(number), 'dicom'); print(number, flush=True)\n"
    )
    root = Path(__file__).parents[4]
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "data"), str(root), database_url or ""],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    told += [int(line) for line in process.stdout]
    process.wait()
    process.stdout.close()
    with Store(tmp_path / "data", database_url) as store:
        images = store.worklist()[0][0].images
        assert [image.position for image in images] == list(range(len(images)))
        assert len(images) >= len(told)
        assert all(store.path_of(image).read_bytes() == b"film" for image in images)
        assert audit.verify(store.audit_lines()).broken_at is None


def test_a_wrong_url_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mysql"):
        open_database("mysql://a:secret@b/c")
    with pytest.raises(ConfigError, match="no URL"):
        open_database("store.sqlite")
    with pytest.raises(DataError) as told:
        open_database(f"sqlite:///{tmp_path}")
    assert str(tmp_path) not in str(told.value)


def test_a_database_of_a_newer_version_is_refused(store: Store, database_url: str | None) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DataError, match="newer radlet"):
        Store(store.data_dir, database_url)


def test_tables_of_another_version_are_no_busy_database(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with store.writing() as session:
            session.execute(text("ALTER TABLE studies DROP COLUMN scanner"))
        with pytest.raises(OperationalError, match="scanner"):
            store.worklist()
