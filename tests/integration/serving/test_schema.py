"""Requests made up from the service's own description: none may end in a failure of the service."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from tests.fixtures.reading_room import Server, room_config, served

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


def test_no_request_makes_the_service_fail(server: Server) -> None:
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    failures, tried = [], set()
    for operation in (found.ok() for found in description.get_all_operations()):

        @hypothesis.settings(max_examples=6, phases=[hypothesis.Phase.generate], database=None)
        @hypothesis.given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            tried.add(case.operation.label)
            status = case.call(timeout=30, allow_redirects=False).status_code
            if status >= 500:
                failures.append((case.operation.label, status))

        ask()
    assert not failures
    assert len(tried) >= 20
