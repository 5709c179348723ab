"""Another application entity, asked over DIMSE about patients whose identifiers are in other scripts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.events import EVT_C_FIND, Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from radlet.pacs.network_libraries import prepare_libraries
from radlet.pacs.peers.dimse import DimseClient
from radlet.pacs.settings import DimsePeer

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@contextmanager
def answering(answers: list[Dataset]) -> Iterator[tuple[DimseClient, list[Dataset]]]:
    """Run a peer that gives these answers to C-FIND, and keeps what it was asked."""
    asked: list[Dataset] = []

    def on_find(event: Event) -> Iterator[Any]:
        asked.append(event.identifier)
        for one in answers:
            yield 0xFF00, one

    prepare_libraries()
    entity = AE(ae_title="PACS")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(EVT_C_FIND, on_find)])
    try:
        port = server.socket.getsockname()[1]
        yield DimseClient(DimsePeer(host="127.0.0.1", port=port, ae_title="PACS", timeout_s=10), "RADLET"), asked
    finally:
        server.shutdown()


def answer(patient_id: str, character_set: str | list[str]) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = character_set
    made.QueryRetrieveLevel, made.PatientID = "STUDY", patient_id
    made.StudyInstanceUID, made.StudyDate, made.ModalitiesInStudy = "1.2.3", "20240101", ["DX", "SR"]
    return made


@pytest.mark.parametrize(
    ("patient_id", "character_set"),
    [
        ("ПАЦИЕНТ-7", "ISO_IR 144"),
        ("ΑΣΘ-7", "ISO_IR 126"),
        ("MÜLLER-7", "ISO_IR 100"),
        ("患者7", ["", "ISO 2022 IR 87"]),
        ("患者7", "GB18030"),
        ("환자7", ["", "ISO 2022 IR 149"]),
        ("ผู้ป่วย7", "ISO_IR 192"),
    ],
)
def test_a_patient_is_asked_for_and_found_in_any_script(patient_id: str, character_set: str | list[str]) -> None:
    with answering([answer(patient_id, character_set)]) as (client, asked):
        (found,) = client.studies_of(patient_id)
    assert found.patient_id == patient_id
    assert (found.study_uid, found.study_date, found.modalities) == ("1.2.3", "20240101", ("DX", "SR"))
    assert asked[0].PatientID == patient_id
    assert asked[0].SpecificCharacterSet == "ISO_IR 192"


def test_an_identifier_of_plain_letters_is_asked_for_as_ever() -> None:
    """Old systems refuse a character set that they do not know, also where it is not needed."""
    with answering([]) as (client, asked):
        assert client.studies_of("P7") == []
    assert asked[0].PatientID == "P7"
    assert "SpecificCharacterSet" not in asked[0]


def test_an_answer_that_names_an_unknown_character_set_is_read_all_the_same() -> None:
    with answering([answer("P7", "ISO_IR 999")]) as (client, _):
        assert [found.study_uid for found in client.studies_of("P7")] == ["1.2.3"]
