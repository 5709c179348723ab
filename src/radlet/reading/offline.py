"""The offline guard: from now on this process reaches loopback, the peers that its recipe names, and nothing else.

It sees what Python's own sockets do, through audit hooks (PEP 578), which cannot be taken out again. Libraries in C
that open sockets by themselves (libpq, for a PostgreSQL elsewhere) are not seen, nor are child processes; radlet
starts none. A firewall guards against those: see docs/security.md.
"""

import ipaddress
import socket
import sys
import threading
from typing import Any

from radlet.core.errors import PrivacyError

_LOOPBACK_NAMES = ("", "localhost", "ip6-localhost")
_CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_BACKWARDS = ("socket.gethostbyaddr", "socket.getnameinfo")
_RESOLVING = ("socket.getaddrinfo", "socket.gethostbyname", *_BACKWARDS)


class _Guard:
    """What may be reached."""

    def __init__(self) -> None:
        self.peers: frozenset[str] = frozenset()
        self._installed = False
        self._looking_up = threading.local()

    def install(self, peers: tuple[str, ...]) -> None:
        """Begin, or allow other peers from now on."""
        self.peers = frozenset(name.lower() for name in peers)
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not event.startswith("socket.") or getattr(self._looking_up, "now", False):
            return
        if event in _CONNECTING:
            own, address = arguments[0], arguments[1]
            # Sockets of a file system, and those that were connected before, reach nobody new.
            if own.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
                self._check(str(address[0]))
        elif event in _RESOLVING:
            named = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
            host = named.decode("ascii", "replace") if isinstance(named, bytes) else str(named or "")
            # Nobody is asked for the address of what is one: it is so that servers write down who calls.
            if event in _BACKWARDS or _parsed(host) is None:
                self._check(host)

    def _check(self, host: str) -> None:
        host = host.lower()
        if host in _LOOPBACK_NAMES or host in self.peers or _is_loopback(host):
            return
        if _parsed(host) is not None and any(host in self._addresses(peer) for peer in self.peers):
            return
        # Without the name: a library that tries may have put anything into it.
        raise PrivacyError(
            "Something tried to reach another machine, and nothing but loopback and the peers of the recipe may be "
            "reached. Nothing was sent."
        )

    def _addresses(self, peer: str) -> set[str]:
        self._looking_up.now = True
        try:
            return {str(found[4][0]) for found in socket.getaddrinfo(peer, None)}
        except OSError:
            return set()
        finally:
            self._looking_up.now = False


_GUARD = _Guard()
"""One a process, as audit hooks are."""


def stay_offline(peers: tuple[str, ...] = ()) -> None:
    """Let every attempt to reach another machine than these raise `PrivacyError`, for as long as the process lives.

    Args:
        peers: Names or addresses that the recipe allows, besides loopback.
    """
    _GUARD.install(peers)


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _parsed(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    # The unspecified address is this machine: to listen on, or to reach its own loopback.
    return address is not None and (address.is_loopback or address.is_unspecified)
