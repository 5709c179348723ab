"""How the DICOM node listens, whom it answers, and where drafts and signed reports go."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from radlet.core.addresses import is_loopback
from radlet.core.config import Config
from radlet.reading.certificates import refuse_half_a_pair
from radlet.reading.drift.report import DriftSettings
from radlet.reading.outbox import OutboxSettings
from radlet.reading.room import RoomSettings
from radlet.reading.store.database import database_hosts

OutputKind = Literal["text_sr", "comprehensive_sr", "capture", "pdf"]
SignedKind = Literal["text_sr", "pdf"]
"""Regions are where a model looked: they belong to its draft, not to what a person signed."""
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e]+$")]
"""Application Entity title (PS3.5 6.2): up to 16 characters, here without blanks."""
LongString = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f]+$")]
"""Long String (PS3.5 6.2): one line of up to 64 characters without a backslash."""
_MOST_TITLES = 1000


class NodeLimits(Config):
    """What one caller may take of the node."""

    max_associations: int = Field(default=16, ge=1)
    """Associations at once, connections that have not said anything yet counted; one more is told to come again later.
    Where twice as many connections are open, further ones are closed without a word."""
    max_pdu_kb: int = Field(default=128, ge=4, le=4096)
    """Largest protocol data unit; a connection that announces a larger one is closed."""
    max_object_mb: int = Field(default=256, ge=1, le=512)
    """Largest object; a connection that sends a larger one is closed."""
    acse_timeout_s: float = Field(default=15.0, gt=0)
    """A connection that has not asked for an association after so long is closed."""
    dimse_timeout_s: float = Field(default=300.0, gt=0)
    """A connection whose message, such as a film, is not whole so long after its first byte is closed."""
    network_timeout_s: float = Field(default=60.0, gt=0)
    """An association on which nothing happens for so long is aborted."""
    max_association_s: float = Field(default=3600.0, gt=0)
    """An association is aborted after so long, whatever happens on it."""


class DimsePeer(Config):
    """Another application entity, over DIMSE."""

    kind: Literal["dimse"] = "dimse"
    """C-STORE, C-FIND, C-GET and C-MOVE."""
    host: str
    """Its address."""
    port: int = Field(ge=1, le=65535)
    """Its port."""
    ae_title: AeTitle
    """What it is called."""
    tls_ca: Path | None = None
    """PEM file with the authority of its certificate, which must name `host`: the connection is then TLS."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain that this node shows, where the other system asks for one."""
    tls_key: Path | None = None
    """PEM file with its private key."""
    timeout_s: float = Field(default=30.0, gt=0)
    """How long to wait for its answers."""

    @model_validator(mode="after")
    def _with_both_keys(self) -> Self:
        refuse_half_a_pair(self.tls_certificate, self.tls_key)
        if self.tls_certificate and not self.tls_ca:
            raise ValueError("tls_certificate of a peer needs tls_ca: without, the connection is not TLS")
        return self


class WebPeer(Config):
    """Another system, over DICOMweb."""

    kind: Literal["dicomweb"] = "dicomweb"
    """STOW-RS, QIDO-RS and WADO-RS."""
    url: str = Field(pattern=r"^https?://[^@\s]+$")
    """Root of its services, such as http://127.0.0.1:8042/dicom-web; without a password."""
    user: str | None = None
    """Name to log in with (HTTP Basic)."""
    password_file: Path | None = None
    """File whose first line is the password."""
    tls_ca: Path | None = None
    """PEM file with the authority of its certificate, for https; not given: the well-known ones."""
    timeout_s: float = Field(default=30.0, gt=0)
    """How long to wait for its answers."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together; give both or neither")
        address = urlsplit(self.url)
        if self.user and address.scheme == "http" and not is_loopback(address.hostname or ""):
            raise ValueError("a password would travel in the clear; give a url that begins with https")
        return self


Peer = Annotated[DimsePeer | WebPeer, Field(discriminator="kind")]


class Delivery(Config):
    """What one of the peers is sent."""

    to: str
    """One of the peers."""
    kinds: tuple[OutputKind, ...] = ("text_sr", "capture")
    """Drafts as what: text_sr (Basic Text SR), comprehensive_sr (TID 1500 with regions), capture (Secondary Capture),
    pdf; none: they stay here."""
    signed: tuple[SignedKind, ...] = ()
    """Signed reports as what: text_sr, pdf; none: they stay here. Needs `organization`."""

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not (self.kinds or self.signed):
            raise ValueError("a delivery of nothing; give kinds (of drafts) or signed (of signed reports)")
        return self


class PriorSettings(Config):
    """Where earlier films of a patient are asked for."""

    peer: str
    """One of the peers."""
    retrieve: Literal["get", "move"] = "get"
    """Over DIMSE: by C-GET, or by C-MOVE, for which the peer must know this node's title and address."""
    max_studies: int = Field(default=1, ge=1, le=10)
    """The newest so many."""


class NodeSettings(Config):
    """The DICOM node beside a reading room."""

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs `calling_ae_titles` and `addresses`."""
    port: int = Field(default=11112, ge=0, le=65535)
    """Port; 0 takes a free one."""
    ae_title: AeTitle = "RADLET"
    """What the node is called; associations for another title are rejected."""
    calling_ae_titles: tuple[AeTitle, ...] = Field(default=(), max_length=_MOST_TITLES)
    """Titles that may call; on loopback, none listed means all."""
    addresses: tuple[str, ...] = Field(default=(), max_length=_MOST_TITLES)
    """Addresses and networks, such as 10.1.2.0/24, that may call; on loopback, none listed means loopback."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain: the node then speaks TLS only."""
    tls_key: Path | None = None
    """PEM file with its private key."""
    tls_client_ca: Path | None = None
    """PEM file with the authority whose certificates callers must show."""
    complete_after_s: float = Field(default=30.0, ge=0)
    """A study that has got no film for so long is complete, and is drafted."""
    limits: NodeLimits = NodeLimits()
    """What one caller may take."""
    peers: dict[str, Peer] = {}
    """Other systems, by a name of your own."""
    deliveries: tuple[Delivery, ...] = ()
    """Where drafts and signed reports go; none: they stay in the store."""
    organization: LongString | None = None
    """For whom those who sign answer (Verifying Organization); in signed reports."""
    signers: dict[str, LongString] = {}
    """Names of those who sign, by account, as DICOM orders their parts: anna = "Weber^Anna^^Dr."; without, the
    account's name."""
    priors: PriorSettings | None = None
    """Where earlier films are asked for; not given: nowhere."""
    outbox: OutboxSettings = OutboxSettings()
    """How what cannot be delivered is tried again."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)

    @property
    def machines(self) -> tuple[str, ...]:
        """Machines that the node itself may reach: its peers."""
        named = (
            peer.host if isinstance(peer, DimsePeer) else urlsplit(peer.url).hostname for peer in self.peers.values()
        )
        return tuple(host for host in named if host)

    @property
    def delivers_signed(self) -> bool:
        """Whether signed reports leave."""
        return any(delivery.signed for delivery in self.deliveries)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        for address in (*self.addresses, *(() if self.host == "localhost" else (self.host,))):
            try:
                ipaddress.ip_network(address)
            except ValueError:
                raise ValueError(f"'{address}' is no address and no network; give for example 10.1.2.0/24") from None
        if not self.is_local and not (self.calling_ae_titles and self.addresses):
            raise ValueError(
                f"host = '{self.host}' can be reached from other machines: that needs calling_ae_titles and addresses. "
                "Or listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _with_both_keys(self) -> Self:
        refuse_half_a_pair(self.tls_certificate, self.tls_key)
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self

    @model_validator(mode="after")
    def _with_known_peers(self) -> Self:
        named = [delivery.to for delivery in self.deliveries] + ([self.priors.peer] if self.priors else [])
        unknown = sorted(set(named) - set(self.peers))
        if unknown:
            known = ", ".join(sorted(self.peers)) or "none"
            raise ValueError(f"peer '{unknown[0]}' is not among the peers ({known}); add [peers.{unknown[0]}]")
        return self

    @model_validator(mode="after")
    def _signed_for_somebody(self) -> Self:
        if self.delivers_signed and not self.organization:
            raise ValueError("a delivery of signed reports needs organization: whom those who sign answer for")
        return self


class PacsConfig(NodeSettings):
    """Settings of ``radlet node``: the DICOM node without a reading room's page."""

    data_dir: Path = Path("reading_room")
    """Folder of films and, unless `database` says otherwise, of the database."""
    database: str | None = None
    """URL of the database: postgresql+psycopg://USER:PASSWORD@HOST/NAME; not given: SQLite in `data_dir`."""
    room: RoomSettings = RoomSettings()
    """How studies are drafted."""
    drift: DriftSettings = DriftSettings()
    """When films or drafts count as changed; looked for now and then, and told in the log."""
    drain_s: float = Field(default=30.0, ge=0)
    """How long what is under way may take after the node was told to stop."""

    @property
    def machines(self) -> tuple[str, ...]:
        """Machines that the node itself may reach: its peers, and that of the database."""
        return (*super().machines, *(database_hosts(self.database) if self.database else ()))
