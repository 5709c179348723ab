from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.dicom_node import film
from tests.fixtures.scripted_peer import ScriptedPeer

from radlet.pacs.peers.base import FoundStudy
from radlet.pacs.priors import PriorFetcher
from radlet.pacs.settings import PriorSettings
from radlet.pacs.storing import RECEIVED, keep_object
from radlet.reading.arrivals import quiet_studies
from radlet.reading.store.store import Store
from radlet.reading.store.tables import now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def found(number: int, date: str, patient: str = "P1", modality: str = "DX") -> FoundStudy:
    return FoundStudy(f"1.2.826.0.2.{number}", patient, date, (modality,))


def test_the_newest_earlier_films_of_the_same_patient_are_kept_and_never_drafted(store: Store, tmp_path: Path) -> None:
    current = keep_object(store, film(tmp_path, 1, PatientID="P1").read_bytes(), None, RECEIVED)
    films = {number: film(tmp_path, number, PatientID="P1").read_bytes() for number in (2, 3)}
    stranger = film(tmp_path, 4, PatientID="P2").read_bytes()
    peer = ScriptedPeer(
        studies=[
            found(1, "20200101"),
            found(2, "20190101"),
            found(3, "20180101"),
            found(5, "20250101"),
            found(6, "20190601", patient="P11"),
            found(7, "20190601", modality="CT"),
        ],
        films={"1.2.826.0.2.2": [films[2], stranger, b"no film"]},
    )
    fetcher = PriorFetcher(store, peer, PriorSettings(peer="pacs"))
    assert fetcher.fetch(current) == 1
    assert {study.study_uid: study.origin for study in store.worklist()[0]} == {
        "1.2.826.0.2.1": "dicom",
        "1.2.826.0.2.2": "prior",
    }
    assert quiet_studies(store, RECEIVED, now()) == [current]
    assert fetcher.fetch(current) == 0  # it is here


@pytest.mark.parametrize("patient_id", ["", "*", "P?"])
def test_a_patient_id_that_would_find_others_is_not_asked_for(store: Store, tmp_path: Path, patient_id: str) -> None:
    current = keep_object(store, film(tmp_path, 1, PatientID=patient_id).read_bytes(), None, RECEIVED)
    peer = ScriptedPeer()
    assert PriorFetcher(store, peer, PriorSettings(peer="pacs")).fetch(current) == 0
    assert peer.num_calls == 0


def test_an_answer_that_lost_letters_is_looked_into_and_a_stranger_is_not_kept(store: Store, tmp_path: Path) -> None:
    def of(number: int, patient_id: str) -> bytes:
        return film(tmp_path, number, SpecificCharacterSet="ISO_IR 192", PatientID=patient_id).read_bytes()

    current = keep_object(store, of(1, "ПАЦИЕНТ4"), None, RECEIVED)
    peer = ScriptedPeer(
        studies=[
            found(2, "20190101", patient="4"),
            found(3, "20180101", patient="???????4"),
            found(4, "20170101", patient="5"),
            found(5, "20160101", patient="ПАЦИЕНТ5"),
        ],
        films={"1.2.826.0.2.2": [of(2, "ПАЦИЕНТ4")], "1.2.826.0.2.3": [of(3, "СОСЕД4")]},
    )
    assert PriorFetcher(store, peer, PriorSettings(peer="pacs", max_studies=10)).fetch(current) == 2
    assert {study.study_uid for study in store.worklist()[0]} == {"1.2.826.0.2.1", "1.2.826.0.2.2"}


def test_a_peer_that_is_away_keeps_nothing_from_being_drafted(store: Store, tmp_path: Path) -> None:
    current = keep_object(store, film(tmp_path, 1).read_bytes(), None, RECEIVED)
    assert PriorFetcher(store, ScriptedPeer(is_away=True), PriorSettings(peer="pacs")).fetch(current) == 0
