"""What is this machine and what is another, as all agree on who listen, or send what patients' texts are in."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address; a name other than localhost may be anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
