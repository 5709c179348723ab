import socket
from typing import Any

import pytest

from radlet.core.errors import PrivacyError
from radlet.reading.offline import _Guard

INTERNET, INTERNET_6 = socket.AF_INET, socket.AF_INET6


class OwnSocket:
    """What the guard asks of a socket."""

    def __init__(self, family: int) -> None:
        self.family = family


def guard(*peers: str) -> _Guard:
    made = _Guard()
    made.peers = frozenset(peers)
    return made


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (OwnSocket(INTERNET), ("192.0.2.1", 443))),
        ("socket.connect", (OwnSocket(INTERNET_6), ("2001:db8::1", 443, 0, 0))),
        ("socket.connect", (OwnSocket(INTERNET_6), ("::ffff:192.0.2.1", 443, 0, 0))),
        ("socket.connect", (OwnSocket(INTERNET), ("hub.example", 443))),
        ("socket.sendto", (OwnSocket(INTERNET), ("192.0.2.1", 53))),
        ("socket.getaddrinfo", ("hub.example", 443, 0, 0, 0)),
        ("socket.getaddrinfo", (b"hub.example", 443, 0, 0, 0)),
        ("socket.gethostbyname", ("hub.example",)),
        ("socket.getnameinfo", (("192.0.2.1", 443),)),
    ],
)
def test_what_reaches_another_machine_is_refused_without_its_name(
    monkeypatch: pytest.MonkeyPatch, event: str, arguments: tuple[Any, ...]
) -> None:
    # The peer's name has no address now.
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(PrivacyError) as raised:
        guard("pacs.example")._hear(event, arguments)
    assert "hub.example" not in str(raised.value)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (OwnSocket(INTERNET), ("127.0.0.1", 443))),
        ("socket.connect", (OwnSocket(INTERNET_6), ("::1", 443, 0, 0))),
        ("socket.connect", (OwnSocket(socket.AF_UNIX), "/run/postgresql/.s")),
        ("socket.sendmsg", (OwnSocket(INTERNET), None)),
        ("socket.getaddrinfo", (None, 0, 0, 0, 0)),
        ("socket.getaddrinfo", ("192.0.2.1", 0, 0, 0, 0)),
        ("socket.getaddrinfo", ("localhost", 0, 0, 0, 0)),
        ("socket.getaddrinfo", ("PACS.example", 104, 0, 0, 0)),
        ("socket.connect", (OwnSocket(INTERNET), ("192.0.2.7", 104))),
        ("open", ("/etc/hostname", "r", 0)),
    ],
)
def test_loopback_and_the_named_peers_are_reached(event: str, arguments: tuple[Any, ...]) -> None:
    guard("pacs.example", "192.0.2.7")._hear(event, arguments)


def test_a_peer_is_reached_at_the_address_that_its_name_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(INTERNET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    named = guard("pacs.example")
    named._hear("socket.connect", (OwnSocket(INTERNET), ("192.0.2.9", 104)))
    with pytest.raises(PrivacyError):
        named._hear("socket.connect", (OwnSocket(INTERNET), ("192.0.2.10", 104)))
