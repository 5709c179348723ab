"""Other systems: what can be asked of them and sent to them, over DIMSE or DICOMweb."""

from radlet.pacs.peers.base import PeerClient
from radlet.pacs.settings import DimsePeer, WebPeer

__all__ = ["PeerClient", "open_peer"]


def open_peer(peer: DimsePeer | WebPeer, own_title: str) -> PeerClient:
    """Return a client of another system; nothing is connected yet.

    Raises:
        ConfigError: Its password, a certificate or a key cannot be read.
    """
    if isinstance(peer, DimsePeer):
        from radlet.pacs.peers.dimse import DimseClient  # noqa: PLC0415 - each only where it is spoken

        return DimseClient(peer, own_title)
    from radlet.pacs.peers.web import WebClient  # noqa: PLC0415

    return WebClient(peer)
