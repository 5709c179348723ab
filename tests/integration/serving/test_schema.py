"""Requests made up from the service's own description: none may end in a failure of the service."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
from PIL import Image
from tests.fixtures.reading_room import Server, room_config, served

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


def _ids(server: Server) -> dict[str, str]:
    """Put a drafted study into the room; return what there is to name in a path."""
    room = server.room
    film = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    content = BytesIO()
    film.save(content, "PNG")
    received = room.keep(room.read(content.getvalue()), "test", "upload")
    draft = room.keep_draft(room.ask(received.study_id, "test"), "The lungs are clear.", room.queue.drafter, "test")
    return {"study_id": received.study_id, "image_id": received.image_id, "draft_id": draft.id}


def _known_among(parameters: dict[str, Any] | None, known: dict[str, str]) -> dict[str, str]:
    return {name: known[name] for name in parameters or {} if name in known}


def test_no_request_makes_the_service_fail(server: Server) -> None:
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    known = _ids(server)
    failures, tried, reached = [], set(), set()
    for operation in (found.ok() for found in description.get_all_operations()):

        @hypothesis.settings(max_examples=6, phases=[hypothesis.Phase.generate], database=None)
        @hypothesis.given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            tried.add(case.operation.label)
            # Identifiers are random: what is made up would name nothing.
            case.path_parameters = {**(case.path_parameters or {}), **_known_among(case.path_parameters, known)}
            status = case.call(timeout=30, allow_redirects=False).status_code
            if status < 300 and "_id}" in case.operation.label:
                reached.add(case.operation.label)
            if status >= 500:
                failures.append((case.operation.label, status))

        ask()
    assert not failures
    assert len(tried) >= 20
    assert len(reached) >= 8, sorted(reached)
