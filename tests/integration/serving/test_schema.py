"""Requests made up from the service's own description: none may end in a failure of the service."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from tests.fixtures.reading_room import room_config, served

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


requests_of = schemathesis.pytest.from_fixture("described")


@requests_of.parametrize()
@hypothesis.settings(max_examples=8, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
def test_no_request_makes_the_service_fail(case: Any) -> None:
    answer = case.call(timeout=30, allow_redirects=False)
    assert answer.status_code < 500, answer.text
