"""How the reading room is served."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from radlet.core.addresses import is_loopback
from radlet.core.config import Config
from radlet.reading.certificates import refuse_half_a_pair
from radlet.reading.drift.report import DriftSettings
from radlet.reading.room import RoomSettings
from radlet.reading.store.database import database_hosts
from radlet.reading.store.sessions import SessionSettings
from radlet.serving.oidc import OidcSettings


class UploadLimits(Config):
    """What one request may bring."""

    max_body_mb: int = Field(default=128, ge=1)
    """Largest body of a request; larger ones are refused while they arrive (HTTP 413)."""
    max_bodies_mb: int = Field(default=512, ge=1)
    """Largest sum of all bodies that are held at once; what comes on top is turned away (HTTP 503)."""
    max_films: int = Field(default=8, ge=1)
    """Films in one request."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """A request whose body is not there after so long is dropped (HTTP 408)."""


class TrafficLimits(Config):
    """How many may come, and how often."""

    requests_per_s: float = Field(default=200.0, gt=0)
    """Of one address, and of one account, in the long run; more are turned away (HTTP 429)."""
    burst: int = Field(default=400, ge=1)
    """Of one address, and of one account, at once."""
    max_connections: int = Field(default=512, ge=1)
    """Open connections in all; more are closed."""
    max_connections_per_address: int = Field(default=256, ge=1)
    """Open connections of one address; more are closed."""
    header_timeout_s: float = Field(default=10.0, ge=1)
    """A connection that has not said what it wants after so long is closed."""


class ServeConfig(Config):
    """Settings of ``radlet serve``."""

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs TLS and accounts."""
    port: int = Field(default=8765, ge=0, le=65535)
    """Port; 0 takes a free one."""
    data_dir: Path = Path("reading_room")
    """Folder of films and, unless `database` says otherwise, of the database."""
    database: str | None = None
    """URL of the database: postgresql+psycopg://USER:PASSWORD@HOST/NAME; not given: SQLite in `data_dir`."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain."""
    tls_key: Path | None = None
    """PEM file with its private key."""
    accounts: bool = False
    """Ask everybody to log in. Without, everybody who reaches the address is the reader `local`."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers call the service, besides `host` and those of loopback; others are refused."""
    sessions: SessionSettings = SessionSettings()
    """How long somebody stays logged in."""
    oidc: OidcSettings | None = None
    """Issuer of the institution's accounts; with `accounts`, beside those kept here."""
    room: RoomSettings = RoomSettings()
    """How studies are drafted."""
    drift: DriftSettings = DriftSettings()
    """When films or drafts count as changed since the model was made."""
    uploads: UploadLimits = UploadLimits()
    """What one request may bring."""
    traffic: TrafficLimits = TrafficLimits()
    """How many may come, and how often."""
    drain_s: float = Field(default=30.0, ge=0)
    """How long what is under way may take after the service was told to stop."""

    @property
    def tls(self) -> bool:
        """Whether clients come over TLS."""
        return self.tls_certificate is not None

    @property
    def peers(self) -> tuple[str, ...]:
        """Machines that the service itself may reach: those that the recipe names."""
        database = database_hosts(self.database) if self.database else ()
        return (*database, *((self.oidc.host,) if self.oidc else ()))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        refuse_half_a_pair(self.tls_certificate, self.tls_key)
        if self.oidc and not self.accounts:
            raise ValueError("oidc needs accounts = true: without, nobody is asked to log in")
        if not self.is_local and not (self.tls_certificate and self.accounts):
            raise ValueError(
                f"host = '{self.host}' can be reached from other machines: that needs tls_certificate, tls_key and "
                "accounts = true. Or listen on 127.0.0.1"
            )
        return self
