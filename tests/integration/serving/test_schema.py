"""Requests made up from the service's own description: none may end in a failure, or in an untold answer."""

from collections.abc import Iterator
from typing import Any

import httpx2
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import Server, room_config, served

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]
EXAMPLES = 12
"""A route, half of them made to break the description, every other one with identifiers that are there."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
"""The form of good answers is checked by the framework itself; that of errors below."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


@pytest.fixture(scope="module")
def there(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Identifiers of a study with a film and a draft, by the name of their parameter."""
    film = write_film(tmp_path_factory.mktemp("films") / "film.dcm", 1, 32).read_bytes()
    received = httpx2.post(f"{server.url}/api/studies", files=[("films", film)]).json()[0]
    draft = server.room.draft(received["study_id"], "test")
    return {"study_id": received["study_id"], "image_id": received["image_id"], "draft_id": draft.id, "number": 0}


def test_no_request_makes_the_service_fail_or_answer_otherwise_than_it_says(
    server: Server, there: dict[str, Any]
) -> None:
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    failures, answered = [], {}
    for operation in (found.ok() for found in description.get_all_operations()):
        made = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

        @hypothesis.settings(
            max_examples=EXAMPLES,
            phases=[hypothesis.Phase.generate],
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=made, known=st.booleans())
        def ask(case: Any, known: bool) -> None:
            if known and isinstance(case.path_parameters, dict):
                case.path_parameters.update({name: there[name] for name in case.path_parameters if name in there})
            answer = case.call(timeout=60, allow_redirects=False)
            answered.setdefault(case.operation.label, set()).add(answer.status_code)
            is_told = answer.status_code < 400 or "json" not in answer.headers["content-type"][0]
            if not (is_told or set(answer.json()) == {"error"}):
                failures.append(f"{case.operation.label}: {answer.status_code} in another form")
            try:
                case.validate_response(answer, checks=CHECKS)
            except BaseExceptionGroup as wrong:
                failures.extend([f"{case.operation.label}: {answer.status_code}: {one}" for one in wrong.exceptions])

        ask()
    assert not failures, "\n".join(failures[:12])
    assert len(answered) >= 20
    # It came through to where identifiers are looked up, and was not turned away before.
    assert {200, 404, 422} <= set.union(*answered.values())
    assert 200 in answered["GET /api/studies/{study_id}"]
