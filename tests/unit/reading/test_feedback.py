import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fixtures.dicom_files import PLANTED, write_film

from radlet.core.errors import ConfigError
from radlet.data.images import read_film
from radlet.data.pseudonyms import Pseudonyms
from radlet.data.sources.folder import Columns, FolderSource, Table
from radlet.reading.feedback import export_feedback, signed_changes, signed_drafts, statistics
from radlet.reading.gate import GateSettings
from radlet.reading.opening import read_received
from radlet.reading.receiving import keep_films
from radlet.reading.store.basis import Basis
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, now

KEY = Pseudonyms(b"k" * 32)


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    with Store(tmp_path / "room", database_url) as opened:
        yield opened


def received(store: Store, folder: Path, number: int, draft: str | None) -> str:
    content = write_film(folder / f"{number}.dcm", number).read_bytes()
    read = read_received(content, GateSettings(checks={}, not_chest="ignore"))
    (film,) = keep_films(store, [read], "dicom", "dicom")
    if draft is not None:
        lineage = {"model": "tiny", "checkpoint_digest": "c" * 64, "image_path_digest": "i", "engine": "transformers"}
        row = DraftRow(study_id=film.study_id, image_id=film.image_id, text=draft, prompt="Describe.", seconds=1.0)
        for name, value in {**lineage, "sampling": {}, "radlet_version": "0", "gate": {}}.items():
            setattr(row, name, value)
        store.add_draft(row, "local")
    return film.study_id


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_changed_reports_become_pairs_and_all_signed_ones_corrections(store: Store, tmp_path: Path) -> None:
    changed = received(store, tmp_path, 1, "The heart is large.")
    same = received(store, tmp_path, 2, "Lungs are clear.")
    undrafted, open_again = received(store, tmp_path, 3, None), received(store, tmp_path, 4, "Normal.")
    first = store.sign(changed, "First try.", "r")
    store.reopen(changed, "r")
    store.sign(changed, f"The heart is normal. Mr. {PLANTED[0]} was informed.", "r", 30, based_on=Basis(first.id))
    for study in (same, undrafted, open_again):
        store.sign(study, "Lungs are clear.", "r", 10)
    store.reopen(open_again, "r")
    told = [(one.draft.model, one.edit_distance) for one in signed_drafts(store)[0]]
    counted = signed_changes(store, now() - timedelta(days=1))
    assert [(one.model, one.edit_distance) for one in reversed(counted)] == told
    assert len(told) == 2
    out = tmp_path / "out"
    report = export_feedback(store, out, KEY)
    assert report["left_out"] == {"no_draft": 1, "reopened": 1, "superseded": 1, "unchanged_no_pair": 1}
    (pair,) = lines(out / "preferences.jsonl")
    assert pair["rejected"] == "The heart is large."
    assert str(pair["chosen"]).startswith("The heart is normal.")
    assert pair["checkpoint_digest"] == "c" * 64
    assert len(lines(out / "corrections.jsonl")) == report["num_corrections"] == 2
    film = next(image for image in store.study(changed).images)
    assert (read_film(out / str(pair["image"])).pixels == read_film(store.path_of(film)).pixels).all()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for word in (*PLANTED, changed, film.id, "1.2.826.0.2.1"):
        assert word.encode() not in written


def test_corrections_are_what_ingest_reads(store: Store, tmp_path: Path) -> None:
    store.sign(received(store, tmp_path, 1, "The heart is large."), "The heart is normal.", "r")
    export_feedback(store, tmp_path / "out", KEY)
    columns = Columns(image="image", study_id="study_id", patient_id="patient_id", view="view", findings="findings")
    source = FolderSource(root=tmp_path / "out", tables=[Table(path=Path("corrections.jsonl"))], columns=columns)
    (study,) = [raw.study for raw in source.studies(0)]
    assert study.sections == {"findings": "The heart is normal."}
    assert [image.view for image in study.images] == ["PA"]
    assert study.patient_id == KEY.of("patient", f"{PLANTED[2]}1")


def test_nobody_else_may_read_an_export(store: Store, tmp_path: Path) -> None:
    export_feedback(store, tmp_path / "new" / "out", KEY)
    assert (tmp_path / "new" / "out").stat().st_mode & 0o777 == 0o700


def test_only_what_was_signed_since_a_day_goes_into_a_new_folder(store: Store, tmp_path: Path) -> None:
    store.sign(received(store, tmp_path, 1, "The heart is large."), "The heart is normal.", "r")
    assert len(signed_drafts(store, now() - timedelta(days=1))[0]) == 1
    assert signed_drafts(store, now() + timedelta(days=1))[0] == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConfigError, match="not empty"):
        export_feedback(store, tmp_path / "full", KEY)


def test_a_day_of_a_model_in_numbers(store: Store, tmp_path: Path) -> None:
    assert statistics([]) == []
    store.sign(received(store, tmp_path, 1, "one two three four"), "one two three five", "r", 20)
    store.sign(received(store, tmp_path, 2, "one two"), "one two", "r")
    (day,) = statistics(signed_drafts(store)[0])
    assert day["day"] == now().date().isoformat()
    assert (day["num_signed"], day["num_unchanged"], day["num_timed"]) == (2, 1, 1)
    assert (day["edit_distance_mean"], day["reading_s_median"]) == (0.125, 20)
