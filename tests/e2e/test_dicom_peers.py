"""The node and other systems: priors from a real Orthanc, one that is restarted, and TLS with DCMTK's tools."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage
from tests.fixtures.archive import Archive, free_port, listens, needs_archive, running_archive, tool
from tests.fixtures.certificates import Authority, Certificate
from tests.fixtures.dicom_node import film, keep, open_room, send, until

from radlet.pacs.node import DicomNode
from radlet.pacs.outputs.identifiers import uid_of
from radlet.pacs.peers import open_peer
from radlet.pacs.peers.base import AwayError
from radlet.pacs.settings import DimsePeer, NodeSettings
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.room import ReadingRoom

pytestmark = needs_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with running_archive(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path / "room")
    yield opened
    opened.close(5)
    opened.store.close()


@contextmanager
def running(room: ReadingRoom, port: int = 0, **settings: object) -> Iterator[DicomNode]:
    node = DicomNode(room, NodeSettings.model_validate({"port": port, "complete_after_s": 0, **settings}))
    node.start()
    try:
        yield node
    finally:
        assert node.stop(20)


def peers_of(archive: Archive) -> dict[str, object]:
    dimse = {"kind": "dimse", "host": "127.0.0.1", "port": archive.dicom_port, "ae_title": "ORTHANC"}
    return {"dimse": dimse, "web": {"kind": "dicomweb", "url": f"{archive.url}/dicom-web"}}


@pytest.mark.parametrize(
    ("number", "priors"),
    [
        (1, {"peer": "dimse", "retrieve": "move"}),
        (2, {"peer": "dimse", "retrieve": "get"}),
        (3, {"peer": "web"}),
    ],
    ids=["C-MOVE", "C-GET", "WADO-RS"],
)
def test_earlier_films_of_the_patient_stand_beside_a_new_one_and_are_not_drafted(
    archive: Archive, room: ReadingRoom, tmp_path: Path, number: int, priors: dict[str, object]
) -> None:
    def of(study: int, patient: str, date: str, **tags: str) -> Path:
        uid = f"1.2.826.0.4.{number}.{study}"
        return film(tmp_path, 100 * number + study, PatientID=patient, StudyDate=date, StudyInstanceUID=uid, **tags)

    patient = f"PRIOR{number}"
    newest, older, oldest = of(1, patient, "20240101"), of(2, patient, "20230101"), of(3, patient, "20220101")
    stranger, later = of(4, f"{patient}0", "20240101"), of(5, patient, "20260101")
    archive.put(newest, older, oldest, stranger, later)
    new = of(6, patient, "20250101")
    settings = {"peers": peers_of(archive), "priors": {**priors, "max_studies": 2}}
    with running(room, archive.node_port, **settings):
        answers = send(archive.node_port, new)
        assert answers is not None
        assert answers[0].Status == 0
        assert until(lambda: room.store.counts()["drafted"] == 1, 60)
        assert until(lambda: room.store.worklist()[1] == 3, 30)
    studies = {study.study_uid: study for study in room.store.worklist()[0]}
    told = {uid.rpartition(".")[2]: (study.origin, study.state) for uid, study in studies.items() if uid}
    assert told == {"6": ("dicom", "drafted"), "1": ("prior", "new"), "2": ("prior", "new")}
    current = studies[f"1.2.826.0.4.{number}.6"]
    assert [prior.study_date for prior in room.store.priors(current)] == ["20240101", "20230101"]
    kept = room.store.path_of(room.store.priors(current)[0].images[0])
    assert dcmread(kept).PixelData == dcmread(newest).PixelData


@pytest.mark.parametrize(("number", "how"), [(4, "move"), (5, "get")], ids=["C-MOVE", "C-GET"])
def test_patients_whose_identifiers_are_in_another_script_have_priors_as_well(
    archive: Archive, room: ReadingRoom, tmp_path: Path, number: int, how: str
) -> None:
    # This Orthanc keeps its default character set, Latin-1. By QIDO-RS it finds no such identifier at all.
    def of(study: int, patient: str, characters: str, date: str) -> Path:
        tags = {"SpecificCharacterSet": characters, "PatientID": patient, "PatientName": "Иванов^Пётр"}
        uid = f"1.2.826.0.4.{number}.{study}"
        return film(tmp_path, 100 * number + study, StudyDate=date, StudyInstanceUID=uid, **tags)

    patient, stranger = f"ПАЦИЕНТ{number}", f"ПАЦИЕНТА{number}"
    archive.put(of(1, patient, "ISO_IR 144", "20230101"), of(2, stranger, "ISO_IR 192", "20230101"))
    settings = {"peers": peers_of(archive), "priors": {"peer": "dimse", "retrieve": how, "max_studies": 2}}
    with running(room, archive.node_port, **settings):
        answers = send(archive.node_port, of(3, patient, "ISO_IR 192", "20250101"))
        assert answers is not None
        assert answers[0].Status == 0
        assert until(lambda: room.store.counts()["drafted"] == 1, 60)
        assert until(lambda: room.store.worklist()[1] == 2, 30)
    studies = {study.study_uid: study for study in room.store.worklist()[0]}
    assert {uid: (study.origin, study.patient_id, study.patient_name) for uid, study in studies.items()} == {
        f"1.2.826.0.4.{number}.3": ("dicom", patient, "Иванов^Пётр"),
        f"1.2.826.0.4.{number}.1": ("prior", patient, "Иванов^Пётр"),
    }


def test_an_archive_that_is_restarted_in_the_middle_gets_everything_once(
    archive: Archive, room: ReadingRoom, tmp_path: Path
) -> None:
    deliveries = [{"to": "dimse", "kinds": ["text_sr"]}, {"to": "web", "kinds": ["comprehensive_sr"]}]
    outbox = {"first_retry_s": 0.2, "longest_retry_s": 1.0}
    settings = {"peers": peers_of(archive), "deliveries": deliveries, "outbox": outbox}
    for number in range(8):
        keep(room, film(tmp_path, 900 + number, StudyInstanceUID=f"1.2.826.0.5.{number}"))
    box = Outbox(room.store, OutboxSettings())
    with running(room, **settings):
        assert until(lambda: len(box.rows("sent")) >= 3, 60)
        archive.stop()
        for number in range(8, 12):
            keep(room, film(tmp_path, 900 + number, StudyInstanceUID=f"1.2.826.0.5.{number}"))
        assert until(lambda: room.store.counts()["drafted"] == 12, 60)
        assert until(lambda: any(row.peer_away for row in box.rows("waiting")), 30)
        archive.start()
        assert until(lambda: len(box.rows("sent")) == 24, 60)
    drafts = [draft.id for row in room.store.worklist()[0] for draft in room.store.study(row.id).drafts]
    web = archive.web
    found = [
        one["00080018"]["Value"][0] for number in range(12) for one in web.search_for_instances(f"1.2.826.0.5.{number}")
    ]
    kinds = ("text_sr", "comprehensive_sr")
    assert sorted(found) == sorted(uid_of(draft, kind, "instance") for draft in drafts for kind in kinds)
    assert {row.sop_instance_uid for row in box.rows("sent")} == set(found)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def node_identity(authority: Authority) -> Certificate:
    return authority.identity("node")


def storescu(port: int, path: Path, *options: object) -> "subprocess.CompletedProcess[str]":
    command = ["storescu", "-v", "-aec", "RADLET", *options, "127.0.0.1", port, path]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)


def test_callers_come_over_tls_alone_and_with_a_certificate_of_the_authority(
    room: ReadingRoom, authority: Authority, node_identity: Certificate, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    paths = [film(tmp_path, number) for number in range(5)]
    tls = {"tls_certificate": node_identity.certificate, "tls_key": node_identity.key}
    anonymous, trusting = ("+tla",), ("+cf", authority.file)
    with running(room, complete_after_s=3600, **tls) as node:
        assert storescu(node.port, paths[0]).returncode != 0, "without TLS"
        assert storescu(node.port, paths[0], *anonymous, "+cf", stranger.file).returncode != 0, "another authority"
        assert room.store.worklist()[1] == 0
        done = storescu(node.port, paths[0], *anonymous, *trusting)
        assert done.returncode == 0, done.stderr
    with running(room, complete_after_s=3600, tls_client_ca=authority.file, **tls) as node:
        own, forged = authority.identity("modality"), stranger.identity("modality")
        assert storescu(node.port, paths[1], *anonymous, *trusting).returncode != 0, "no certificate"
        refused = storescu(node.port, paths[2], "+tls", forged.key, forged.certificate, *trusting)
        assert refused.returncode != 0, "a certificate of another authority"
        assert room.store.worklist()[1] == 1
        done = storescu(node.port, paths[3], "+tls", own.key, own.certificate, *trusting)
        assert done.returncode == 0, done.stderr
    assert room.store.worklist()[1] == 2


def test_drafts_go_to_a_tls_peer_that_asks_for_a_certificate(
    room: ReadingRoom, authority: Authority, node_identity: Certificate, tmp_path: Path
) -> None:
    pacs, port, taken = authority.identity("pacs"), free_port(), tmp_path / "taken"
    taken.mkdir()
    options = ("-od", taken, "-aet", "PACS", "+tls", pacs.key, pacs.certificate, "+cf", authority.file, "-rc")
    peer = {"kind": "dimse", "host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_s": 5}
    own = {"tls_certificate": node_identity.certificate, "tls_key": node_identity.key}
    stranger = Authority(tmp_path, "stranger")
    process = subprocess.Popen(
        [str(part) for part in ("storescp", *options, port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert until(lambda: listens(port))
        settings = {
            "peers": {"pacs": {**peer, **own, "tls_ca": authority.file}},
            "deliveries": [{"to": "pacs", "kinds": ["text_sr"]}],
            "outbox": {"first_retry_s": 0.2},
        }
        keep(room, film(tmp_path, 1))
        with running(room, **settings):
            assert until(lambda: len(list(taken.iterdir())) == 1, 30)
            assert until(lambda: len(Outbox(room.store, OutboxSettings()).rows("sent")) == 1)
        report = dcmread(next(taken.iterdir()))
        assert report.SOPClassUID == BasicTextSRStorage
        content = next((tmp_path / "room" / "outputs").rglob("*.dcm")).read_bytes()
        for wrong in ({}, {"tls_ca": authority.file}, {**own, "tls_ca": stranger.file}):
            with pytest.raises(AwayError):
                open_peer(DimsePeer.model_validate({**peer, **wrong}), "RADLET").send(content)
        assert len(list(taken.iterdir())) == 1
    finally:
        process.terminate()
        process.wait(10)
    tool("dsrdump", next(taken.iterdir()))
