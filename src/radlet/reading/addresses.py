"""What the settings of everything that listens agree on: what is loopback, and what TLS needs."""

import ipaddress
from pathlib import Path


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address; a name other than localhost may be anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_half_a_pair(tls_certificate: Path | None, tls_key: Path | None) -> None:
    """Refuse a certificate without its key, or the other way round.

    Raises:
        ValueError: One is given alone.
    """
    if (tls_certificate is None) != (tls_key is None):
        raise ValueError("tls_certificate and tls_key go together; give both or neither")
