"""Drift as a client and as the command line see it."""

import json
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.drift_store import fill, make_card
from tests.fixtures.reading_room import room_config, served
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import ConfigError
from radlet.reading.drift.placing import IN_FORCE
from radlet.reading.store.store import Store


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_endpoint_tells_groups_and_measures(tmp_path: Path) -> None:
    with served(room_config(tmp_path)) as server, httpx2.Client(base_url=server.url) as http:
        told = http.get("/api/drift").json()
        assert told == {"reference": None, "days": 30, "false_alarm_rate": 0.01, "groups": []}
    make_card().write(tmp_path / IN_FORCE)
    with Store(tmp_path) as store:
        fill(store, 60, scanner="GE XR", brightness=0.8)
    with served(room_config(tmp_path)) as server, httpx2.Client(base_url=server.url, timeout=60) as http:
        told = http.get("/api/drift").json()
        assert told["reference"]["films"] == told["reference"]["reports"] == 400
        assert [(group["scanner"], group["films"], group["enough"]) for group in told["groups"]] == [
            (None, 60, True),
            ("GE XR", 60, True),
        ]
        shown = {measure["name"]: measure for measure in told["groups"][1]["measures"]}
        assert [name for name, measure in shown.items() if measure["alarm"]] == ["brightness"]
        assert shown["brightness"]["psi"] > shown["brightness"]["limit"]
        assert len(shown["brightness"]["edges"]) == len(shown["brightness"]["seen"]) + 1
        assert shown["Edema"]["labels"] == ["POSITIVE", "NEGATIVE", "UNCERTAIN", "UNMENTIONED"]
        json.dumps(told, allow_nan=False)
        assert 'radlet_drift_alarm{measure="brightness",scanner="all"} 1.0' in http.get("/metrics").text


def test_the_command_shows_what_has_changed_and_says_so_by_its_status(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        fill(store, 60, scanner="Agfa DX")
        fill(store, 60, 2, scanner="GE XR", brightness=0.8)
        fill(store, 9, 3, scanner="Fuji")
    arguments = ["drift", "show", "--data-dir", str(tmp_path)]
    told = CliRunner().invoke(app, arguments)
    assert isinstance(told.exception, ConfigError)
    assert "radlet drift reference" in str(told.exception)
    make_card().write(tmp_path / IN_FORCE)
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 1
    assert "brightness" in told.stdout
    assert "Fuji  9 studies  ○ too few to tell" in told.stdout
    assert "Agfa DX  60 studies  ● as in the reference" in told.stdout
    told = CliRunner().invoke(app, [*arguments, "--all"])
    assert "words" in told.stdout


def test_nothing_has_changed_where_nothing_has(tmp_path: Path) -> None:
    make_card().write(tmp_path / IN_FORCE)
    with Store(tmp_path) as store:
        fill(store, 60)
    assert CliRunner().invoke(app, ["drift", "show", "--data-dir", str(tmp_path)]).exit_code == 0
