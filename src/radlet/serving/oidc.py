"""Accounts of the institution: OpenID Connect, authorization code flow with PKCE (RFC 7636)."""

import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from radlet.core.addresses import is_loopback
from radlet.core.config import Config
from radlet.core.errors import ConfigError, RadletError
from radlet.reading.store.tables import Role

_LOG = logging.getLogger("radlet.access")
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Signatures that are taken; never one that the holder of a public key could make."""
_BEGUN_S = 600.0
_MOST_BEGUN = 1_000
_ASK_S = 10.0


class OidcSettings(Config):
    """The institution's issuer of accounts."""

    issuer: str
    """URL of the issuer, as its tokens name it: https://login.hospital.example/realms/staff."""
    client_id: str
    """What radlet is called there."""
    client_secret_file: Path | None = None
    """File with the secret of the client, if it has one."""
    redirect_url: str
    """Where the issuer leads back to: https://NAME/oidc/callback."""
    name_claim: str = "preferred_username"
    """Claim with the name to sign by; the issuer must not let people choose each other's."""
    role_claim: str = "roles"
    """Claim with one or several of the issuer's roles."""
    roles: dict[str, Role] = Field(min_length=1)
    """Role here by the issuer's; the first that somebody has counts. Whoever has none does not come in."""

    @field_validator("issuer", "redirect_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        if not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
            raise ValueError("must be an https URL; http is for loopback alone")
        return url

    @field_validator("roles")
    @classmethod
    def _people(cls, roles: dict[str, Role]) -> dict[str, Role]:
        if "machine" in roles.values():
            raise ValueError(f"people log in by an issuer: {', '.join(r for r in get_args(Role) if r != 'machine')}")
        return roles

    @property
    def host(self) -> str:
        """Name of the issuer's machine."""
        return urlsplit(self.issuer).hostname or ""


@dataclass(frozen=True)
class Vouched:
    """For whom the issuer vouches."""

    name: str
    role: Role


@dataclass(frozen=True)
class _Begun:
    nonce: str
    verifier: str
    until: float


class Issuer:
    """Ask the issuer who somebody is.

    Args:
        settings: Of the issuer.

    Raises:
        ConfigError: The packages for it are not installed, or the secret cannot be read.
    """

    def __init__(self, settings: OidcSettings) -> None:
        try:
            import authlib.integrations.httpx_client  # noqa: F401, PLC0415 - comes with an extra of its own
        except ModuleNotFoundError:
            raise ConfigError('oidc: needs packages that are not installed: pip install "radlet[oidc]"') from None
        self._settings = settings
        self._secret = _read_secret(settings.client_secret_file)
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self) -> tuple[str, str]:
        """Return where to lead somebody, and the state that their browser must bring back."""
        state = secrets.token_urlsafe(32)
        begun = _Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(48), time.monotonic() + _BEGUN_S)
        with self._client() as client:
            told = self._discover(client)
            url, _ = client.create_authorization_url(
                told["authorization_endpoint"], state=state, code_verifier=begun.verifier, nonce=begun.nonce
            )
        with self._lock:
            self._begun[state] = begun
            while len(self._begun) > _MOST_BEGUN:
                self._begun.popitem(last=False)
        return str(url), state

    def finish(self, own_state: str, state: str, code: str) -> Vouched | None:
        """Return for whom the issuer vouches; None where its answer is not the one that was waited for.

        Args:
            own_state: That the browser was given.
            state: That it brings from the issuer.
            code: To be exchanged for a token.
        """
        with self._lock:
            begun = self._begun.pop(state, None)
        same = hmac.compare_digest(own_state.encode("utf-8", "replace"), state.encode("utf-8", "replace"))
        if begun is None or not same or not code or time.monotonic() > begun.until:
            return None
        try:
            claims = self._claims(code, begun)
        except RadletError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the answer, nobody comes in by it
            _LOG.warning("The issuer's answer was refused: %s", type(error).__name__)
            return None
        return self._vouched(claims)

    def _claims(self, code: str, begun: _Begun) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        with self._client() as client:
            told = self._discover(client)
            token = client.fetch_token(told["token_endpoint"], code=code, code_verifier=begun.verifier)
            keys = KeySet.import_key_set(self._ask(client, told["jwks_uri"]))
        decoded = jwt.decode(token["id_token"], keys, algorithms=_ALGORITHMS)
        wanted = {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
            "nonce": {"essential": True, "value": begun.nonce},
        }
        known = {"client_id": self._settings.client_id, "nonce": begun.nonce, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, wanted, known)
        claims.validate(leeway=60)
        return dict(claims)

    def _vouched(self, claims: Mapping[str, Any]) -> Vouched | None:
        name, theirs = claims.get(self._settings.name_claim), claims.get(self._settings.role_claim)
        held = theirs if isinstance(theirs, list) else [theirs]
        role = next((own for other, own in self._settings.roles.items() if other in held), None)
        if role is None or not isinstance(name, str) or not name.isprintable():
            return None
        # The @ keeps it apart from accounts kept here, whose names hold none.
        full = name if "@" in name else f"{name}@{self._settings.host}"
        return Vouched(full, role) if name and len(full) <= 64 else None

    def _discover(self, client: Any) -> dict[str, Any]:
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        told: dict[str, Any] = self._ask(client, url)
        if told.get("issuer") != self._settings.issuer:
            raise ConfigError("oidc.issuer: the issuer calls itself otherwise. Give its URL as it does.")
        return told

    def _ask(self, client: Any, url: str) -> Any:
        answer = client.request("GET", url, withhold_token=True)
        answer.raise_for_status()
        return answer.json()

    def _client(self) -> Any:
        from authlib.integrations.httpx_client import OAuth2Client  # noqa: PLC0415

        return OAuth2Client(
            self._settings.client_id,
            self._secret,
            scope="openid profile",
            redirect_uri=self._settings.redirect_url,
            code_challenge_method="S256",
            timeout=_ASK_S,
            trust_env=False,
        )


def _read_secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"oidc.client_secret_file: {path} cannot be read.") from None
