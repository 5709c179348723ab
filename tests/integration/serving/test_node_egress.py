"""A whole run of `radlet node` reaches loopback and the peers of its recipe: it receives, drafts and delivers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import BasicTextSRStorage, SecondaryCaptureImageStorage
from pynetdicom import AE
from pynetdicom.events import EVT_C_STORE, Event
from tests.fixtures.archive import free_port, listens
from tests.fixtures.dicom_node import film, send, until
from tests.fixtures.drift_store import make_card
from tests.fixtures.tiny import make_report_model

from radlet.inference.drafter import processor_options
from radlet.models.report_model import save_report_model
from radlet.reading.drift.placing import place_beside
from radlet.reading.served_model import ServedModel

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

RUN = """
import json, sys
reached, own = [], []
def hear(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        reached.append(str(arguments[1][0]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        reached.append(str(arguments[0]))
sys.addaudithook(hear)

import socket, urllib.request
from radlet.cli import app
from radlet.core.errors import PrivacyError

# Until it is told to stop by a signal, as any service is.
app(sys.argv[1:], standalone_mode=False)
num_reached, refused = len(reached), 0
for attempt in (
    lambda: urllib.request.urlopen("http://192.0.2.1/"),
    lambda: socket.create_connection(("192.0.2.1", 104)),
    lambda: socket.getaddrinfo("pacs.example", 104),
):
    try:
        attempt()
    except PrivacyError:
        refused += 1
    except Exception as error:
        refused += isinstance(error.__context__ or error.__cause__, PrivacyError)
print(json.dumps({"reached": reached[:num_reached], "refused": refused}))
"""


def test_receiving_drafting_and_delivering_reaches_the_peers_alone(tmp_path: Path, repository: Path) -> None:
    model = make_report_model()
    card = model.card.model_copy(update={"max_new_tokens": 16})
    checkpoint = tmp_path / "checkpoint"
    save_report_model(replace(model, card=card), checkpoint, processor_options(card))
    make_card(ServedModel.load(checkpoint).identity.checkpoint_digest).write(place_beside(checkpoint))
    port, taken = free_port(), list[str]()

    def on_store(event: Event) -> int:
        taken.append(str(event.request.AffectedSOPClassUID))
        return 0

    archive = AE(ae_title="PACS")
    for sop_class in (BasicTextSRStorage, SecondaryCaptureImageStorage):
        archive.add_supported_context(sop_class)
    server = archive.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(EVT_C_STORE, on_store)])
    recipe = tmp_path / "node.toml"
    recipe.write_text(
        f"""
        port = {port}
        data_dir = "{tmp_path / "store"}"
        complete_after_s = 0.0
        room.gate = {{ not_chest = "ignore", lateral = "ignore", checks = {{}} }}
        deliveries = [{{ to = "pacs", kinds = ["text_sr", "capture"] }}]
        priors = {{ peer = "pacs" }}
        [peers.pacs]
        kind = "dimse"
        host = "127.0.0.1"
        port = {server.socket.getsockname()[1]}
        ae_title = "PACS"
        """
    )
    command = [sys.executable, "-c", RUN, "node", str(checkpoint), "--recipe", str(recipe)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository)
    try:
        assert until(lambda: process.poll() is not None or listens(port), 120)
        answers = send(port, film(tmp_path, 1, PatientID="P1"))
        assert answers is not None
        assert answers[0].Status == 0
        assert until(lambda: len(taken) == 2, 60)
    finally:
        process.terminate()
        told, log = process.communicate(timeout=60)
        server.shutdown()
    assert process.returncode == 0, log
    assert sorted(taken) == sorted([BasicTextSRStorage, SecondaryCaptureImageStorage])
    assert "drift: held against 400 films" in log + told
    found = json.loads(told.splitlines()[-1])
    assert found["reached"], "the peer was reached"
    assert set(found["reached"]) <= {"127.0.0.1", "::1", "localhost", "None"}
    assert found["refused"] == 3
