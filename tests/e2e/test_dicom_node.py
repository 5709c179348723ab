"""The node as a process beside a real Orthanc, called by DCMTK's tools; killed while it receives and while it sends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2
import pytest
from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage
from tests.fixtures.archive import Archive, free_port, listens, needs_archive, running_archive, tool
from tests.fixtures.dicom_node import film, send, until
from tests.fixtures.started import started
from tests.fixtures.tiny import make_report_model

from radlet.data.sources.synthetic.dicom_export import write_dicom
from radlet.data.sources.synthetic.source import SyntheticSource
from radlet.inference.drafter import processor_options
from radlet.models.report_model import save_report_model
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.store import Store

pytestmark = needs_archive
NUM_STUDIES, FILMS_EACH = 10, 10
PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test
DELIVERIES = """
[[{table}deliveries]]
to = "archive"
kinds = ["text_sr"]
{signed}

[[{table}deliveries]]
to = "web"
kinds = ["comprehensive_sr"]
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with running_archive(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_report_model()
    model = replace(model, card=model.card.model_copy(update={"max_new_tokens": 16}))
    folder = tmp_path_factory.mktemp("checkpoint")
    save_report_model(model, folder, processor_options(model.card))
    return folder


def write_recipe(path: Path, archive: Archive, web_port: int | None = None) -> Path:
    """Write a recipe of the node, or with a port of HTTP one of the reading room with the node in it."""
    room = f"""
data_dir = "{path.parent / "store"}"
room.gate = {{ not_chest = "ignore", lateral = "ignore", checks = {{}} }}
"""
    table = "node." if web_port else ""
    own = f"port = {web_port}\naccounts = true\n{room}\n[node]\n" if web_port else room
    signed = 'signed = ["text_sr"]' if web_port else ""
    path.write_text(
        f"""
{own}
port = {archive.node_port}
complete_after_s = 1.0
organization = "St. Mary"

[{table}peers.archive]
kind = "dimse"
host = "127.0.0.1"
port = {archive.dicom_port}
ae_title = "ORTHANC"

[{table}peers.web]
kind = "dicomweb"
url = "{archive.url}/dicom-web"

[{table}outbox]
first_retry_s = 0.5
longest_retry_s = 2.0
{DELIVERIES.format(table=table, signed=signed)}
"""
    )
    return path


@contextmanager
def running(command: str, checkpoint: Path, recipe: Path, port: int) -> Iterator[BaseProcess]:
    """Run the node, or the reading room, until it listens."""
    log = recipe.parent / "log"
    with started([command, checkpoint, "--recipe", recipe], log) as process:
        assert until(lambda: process.exitcode is not None or listens(port), 120)
        assert process.exitcode is None, log.read_text()
        yield process


def log_in(client: httpx2.Client, name: str) -> None:
    assert client.post("/login", data={"name": name, "password": PASSWORD}).status_code == 303
    client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]


def test_one_process_drafts_what_comes_in_and_sends_what_a_reader_signs(
    archive: Archive, checkpoint: Path, tmp_path: Path
) -> None:
    raw = next(iter(SyntheticSource(num_patients=1).studies(0)))
    path = write_dicom(raw, tmp_path)[0]
    port = free_port()
    recipe = write_recipe(tmp_path / "serve.toml", archive, port)
    with Store(tmp_path / "store") as store:
        Accounts(store).add("anna", "reader", PASSWORD, "test")
    node = ("-aec", "RADLET", "127.0.0.1", archive.node_port)
    with running("serve", checkpoint, recipe, port) as process, httpx2.Client(timeout=60) as client:
        client.base_url = f"http://127.0.0.1:{port}"
        tool("echoscu", *node)
        tool("storescu", *node, path)
        assert until(lambda: len(archive.reports(ComprehensiveSRStorage)) == 1, 90), (tmp_path / "log").read_text()
        log_in(client, "anna")
        (line,) = client.get("/api/studies").json()["studies"]
        # What a reader asks for in the page is delivered as well, and what a reader signs, as somebody's report.
        assert client.post(f"/api/studies/{line['id']}/draft").status_code == 200
        assert until(lambda: len(archive.reports(ComprehensiveSRStorage)) == 2, 90), (tmp_path / "log").read_text()
        signed = client.post(f"/api/studies/{line['id']}/signature", json={"text": "Clear."})
        assert signed.status_code == 201
        assert until(lambda: len(archive.reports(BasicTextSRStorage)) == 3, 90), (tmp_path / "log").read_text()
        process.terminate()
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "log").read_text()
    found = archive.web.search_for_instances(search_filters={"SOPClassUID": BasicTextSRStorage})
    uids = [[one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")] for one in found]
    reports = [archive.web.retrieve_instance(*one) for one in uids]
    flags = [(report.VerificationFlag, report.CompletionFlag, report.PreliminaryFlag) for report in reports]
    assert sorted(flags) == [("UNVERIFIED", "PARTIAL", "PRELIMINARY")] * 2 + [("VERIFIED", "COMPLETE", "FINAL")]
    for report in reports:
        report.save_as(tmp_path / "report.dcm")
        read = tool("dsrdump", "+Pl", tmp_path / "report.dcm")
        assert "Basic Text SR Document" in read
        is_signed = report.VerificationFlag == "VERIFIED"
        assert ("AI draft - not verified" in read) != is_signed
        assert (", anna, St. Mary" in read) == is_signed
    study_uid = uids[0][0]
    query = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}", "-k", "ModalitiesInStudy")
    told = tool("findscu", "-v", "-S", "-aet", "RADLET", "-aec", "ORTHANC", *query, "127.0.0.1", archive.dicom_port)
    assert study_uid in told
    assert "[SR]" in told
    exported = tmp_path / "report.hl7"
    command = ["export-report", tmp_path / "store", study_uid, "--kind", "hl7", "--signed-for", "St. Mary"]
    with started([*command, "--out", exported], tmp_path / "log") as process:
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert exported.read_bytes().startswith(b"MSH|")


def test_killed_while_receiving_and_while_sending_it_loses_and_doubles_nothing(
    archive: Archive, checkpoint: Path, tmp_path: Path
) -> None:
    port = archive.node_port
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
    recipe = write_recipe(tmp_path / "node.toml", archive)
    with running("node", checkpoint, recipe, port) as process:
        taken: list[Path] = []
        sender = threading.Thread(target=_send_each, args=(port, films, taken))
        sender.start()
        assert until(lambda: len(taken) >= 40, 60)
        process.kill()  # wherever the sender is
        process.join(10)
        sender.join()
    assert len(taken) < len(films)
    with Store(tmp_path / "store") as store:
        # What was answered with success is there.
        assert sum(len(study.images) for study in store.worklist(limit=100)[0]) >= len(taken)
    with running("node", checkpoint, recipe, port) as process:
        # A modality sends again what was not answered; one that lost the answers sends everything.
        answers = send(port, *films)
        assert answers is not None
        assert all(_is_taken([answer]) for answer in answers)
        assert until(lambda: len(archive.reports(BasicTextSRStorage)) >= before[BasicTextSRStorage] + 2, 90)
        process.kill()
        process.join(10)
    with Store(tmp_path / "store") as store:
        in_archive = len(archive.reports(BasicTextSRStorage)) - before[BasicTextSRStorage]
        assert store.worklist(limit=100)[1] == NUM_STUDIES
    assert 2 <= in_archive <= NUM_STUDIES
    with running("node", checkpoint, recipe, port), Store(tmp_path / "store") as store:
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
