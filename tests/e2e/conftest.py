"""A room, a browser and a reader before it, for the files of tests that need no others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.fixtures.browser import Reader, chromium, sitting
from tests.fixtures.reading_room import Server, room_config, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A room that takes films of noise; the tests of one file share it."""
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser; the tests of one file share it, and each has a window of its own."""
    with chromium() as started:
        yield started


@pytest.fixture
def seat(server: Server, browser: "Browser") -> Iterator[Reader]:
    """A reader before an empty page."""
    with sitting(browser, server) as one:
        yield one


@pytest.fixture
def reader(seat: Reader) -> Reader:
    """A reader before the worklist."""
    seat.open()
    return seat
