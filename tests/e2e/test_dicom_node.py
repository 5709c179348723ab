"""The node as a process beside a real Orthanc, called by DCMTK's tools; killed while it receives and while it sends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage
from tests.fixtures.dicom_node import film, send, until
from tests.fixtures.tiny import make_report_model

from radlet.data.sources.synthetic.dicom_export import write_dicom
from radlet.data.sources.synthetic.source import SyntheticSource
from radlet.inference.drafter import processor_options
from radlet.models.report_model import save_report_model
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.store.store import Store

_WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_PROGRAMS = ("Orthanc", "storescu", "echoscu", "findscu", "dsrdump")
_MISSING = [name for name in _PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
    pytest.mark.skipif(not _WEB_PLUGIN.is_file(), reason="not installed: Orthanc's DICOMweb plugin"),
]
NUM_STUDIES, FILMS_EACH = 10, 10


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def tool(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass
class Archive:
    """An Orthanc that runs."""

    url: str
    dicom_port: int

    @property
    def web(self) -> DICOMwebClient:
        return DICOMwebClient(f"{self.url}/dicom-web")

    def reports(self, sop_class: str) -> list[str]:
        found = requests.post(
            f"{self.url}/tools/find", json={"Level": "Instance", "Query": {"SOPClassUID": sop_class}}, timeout=30
        )
        return list(found.json())


@pytest.fixture(scope="module")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, node_port: int) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom = free_port(), free_port()
    # Only the node's title, and only from this machine, may say anything over DICOM.
    rights = {f"Allow{what}": True for what in ("Echo", "Find", "Get", "Store", "Move")}
    settings = {
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        **{f"DicomAlwaysAllow{what}": False for what in ("Echo", "Find", "Get", "Store", "Move")},
        "DicomCheckModalityHost": True,
        "DicomModalities": {"radlet": {"AET": "RADLET", "Host": "127.0.0.1", "Port": node_port, **rights}},
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_WEB_PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    program = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), str(folder / "orthanc.json")], stdout=log, stderr=log)
    running = Archive(f"http://127.0.0.1:{http}", dicom)
    try:
        assert until(lambda: _answers(f"{running.url}/system"), 60), (folder / "log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_report_model()
    model = replace(model, card=model.card.model_copy(update={"max_new_tokens": 16}))
    folder = tmp_path_factory.mktemp("checkpoint")
    save_report_model(model, folder, processor_options(model.card))
    return folder


def write_recipe(path: Path, archive: Archive, port: int) -> Path:
    path.write_text(
        f"""
port = {port}
data_dir = "{path.parent / "store"}"
complete_after_s = 1.0
room.gate = {{ not_chest = "ignore", lateral = "ignore", checks = {{}} }}

[peers.archive]
kind = "dimse"
host = "127.0.0.1"
port = {archive.dicom_port}
ae_title = "ORTHANC"

[peers.web]
kind = "dicomweb"
url = "{archive.url}/dicom-web"

[[deliveries]]
to = "archive"
kinds = ["text_sr"]

[[deliveries]]
to = "web"
kinds = ["comprehensive_sr"]

[outbox]
first_retry_s = 0.5
longest_retry_s = 2.0
"""
    )
    return path


@contextmanager
def node(checkpoint: Path, recipe: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "radlet.cli", "node", str(checkpoint), "--recipe", str(recipe)]
    with (recipe.parent / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        assert until(lambda: process.poll() is not None or _listens(port), 120)
        assert process.poll() is None, (recipe.parent / "log").read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_film_goes_in_and_a_report_is_found_in_the_archive(
    archive: Archive, checkpoint: Path, node_port: int, tmp_path: Path
) -> None:
    raw = next(iter(SyntheticSource(num_patients=1).studies(0)))
    path = write_dicom(raw, tmp_path)[0]
    recipe = write_recipe(tmp_path / "node.toml", archive, node_port)
    with node(checkpoint, recipe, node_port) as process:
        tool("echoscu", "-aec", "RADLET", "127.0.0.1", node_port)
        tool("storescu", "-aec", "RADLET", "127.0.0.1", node_port, path)
        assert until(lambda: bool(archive.reports(ComprehensiveSRStorage)), 90), (tmp_path / "log").read_text()
        process.terminate()
        assert process.wait(60) == 0
    found = archive.web.search_for_instances(search_filters={"SOPClassUID": BasicTextSRStorage})
    assert len(found) == 1
    uids = [found[0][tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    report = archive.web.retrieve_instance(*uids)
    assert (report.VerificationFlag, report.CompletionFlag) == ("UNVERIFIED", "PARTIAL")
    assert report.StudyInstanceUID == uids[0]
    report.save_as(tmp_path / "report.dcm")
    read = tool("dsrdump", "+Pl", tmp_path / "report.dcm")
    assert "AI draft - not verified" in read
    assert "Basic Text SR Document" in read
    query = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uids[0]}", "-k", "ModalitiesInStudy")
    told = tool("findscu", "-v", "-S", "-aet", "RADLET", "-aec", "ORTHANC", *query, "127.0.0.1", archive.dicom_port)
    assert uids[0] in told
    assert "[SR]" in told
    exported = tmp_path / "report.hl7"
    tool(
        sys.executable,
        "-m",
        "radlet.cli",
        "export-report",
        tmp_path / "store",
        uids[0],
        "--kind",
        "hl7",
        "--out",
        exported,
    )
    assert exported.read_bytes().startswith(b"MSH|")


def test_killed_while_receiving_and_while_sending_it_loses_and_doubles_nothing(
    archive: Archive, checkpoint: Path, node_port: int, tmp_path: Path
) -> None:
    before = {name: len(archive.reports(name)) for name in (BasicTextSRStorage, ComprehensiveSRStorage)}
    films = [
        film(
            tmp_path / "films",
            1000 + number,
            StudyInstanceUID=f"1.2.826.0.2.7.{number % NUM_STUDIES}",
            PatientID=f"P{number % NUM_STUDIES}",
        )
        for number in range(NUM_STUDIES * FILMS_EACH)
    ]
    recipe = write_recipe(tmp_path / "node.toml", archive, node_port)
    with node(checkpoint, recipe, node_port) as process:
        taken: list[Path] = []
        sender = threading.Thread(target=_send_each, args=(node_port, films, taken))
        sender.start()
        assert until(lambda: len(taken) >= 40, 60)
        process.send_signal(signal.SIGKILL)  # wherever the sender is
        process.wait(10)
        sender.join()
    assert len(taken) < len(films)
    with Store(tmp_path / "store") as store:
        # What was answered with success is there.
        assert sum(len(study.images) for study in store.worklist(limit=100)[0]) >= len(taken)
    with node(checkpoint, recipe, node_port) as process:
        # A modality sends again what was not answered; one that lost the answers sends everything.
        answers = send(node_port, *films)
        assert answers is not None
        assert all(_is_taken([answer]) for answer in answers)
        assert until(lambda: len(archive.reports(BasicTextSRStorage)) >= before[BasicTextSRStorage] + 2, 90)
        process.kill()
        process.wait(10)
    with Store(tmp_path / "store") as store:
        in_archive = len(archive.reports(BasicTextSRStorage)) - before[BasicTextSRStorage]
        assert store.worklist(limit=100)[1] == NUM_STUDIES
    assert 2 <= in_archive <= NUM_STUDIES
    with node(checkpoint, recipe, node_port), Store(tmp_path / "store") as store:
        outbox = Outbox(store, OutboxSettings())
        assert until(lambda: len(outbox.rows("sent")) == 2 * NUM_STUDIES, 90), (tmp_path / "log").read_text()
        studies, _ = store.worklist(limit=100)
        assert sorted(len(study.images) for study in studies) == [FILMS_EACH] * NUM_STUDIES
        assert all(len(store.study(study.id).drafts) == 1 for study in studies)
        assert outbox.rows("waiting") == outbox.rows("dead") == []
    for name, count in before.items():
        assert len(archive.reports(name)) == count + NUM_STUDIES


def _send_each(port: int, films: list[Path], taken: list[Path]) -> None:
    for path in films:
        if not _is_taken(send(port, path)):
            return
        taken.append(path)


def _is_taken(answers: object) -> bool:
    return bool(answers) and all("Status" in one and one.Status == 0 for one in answers)  # type: ignore[union-attr]
