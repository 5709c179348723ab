"""Who is inside: sessions of people, and the keys of machines. Of both only hashes are kept."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field
from sqlalchemy import delete, or_, select

from radlet.core.config import Config
from radlet.core.errors import ConfigError
from radlet.reading.store import audit
from radlet.reading.store.accounts import get_account
from radlet.reading.store.basis import NotThereError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import AccountRow, ApiKeyRow, Role, SessionRow, now

KEY_PREFIX = "radlet_"
"""Lets scanners of source code find a key that was checked in."""
_SEEN_EVERY = timedelta(minutes=1)


class SessionSettings(Config):
    """How long somebody stays logged in."""

    idle_minutes: float = Field(default=30.0, gt=0)
    """Without a request for so long, the session ends."""
    longest_hours: float = Field(default=12.0, gt=0)
    """So long after the login, the session ends in any case."""


@dataclass(frozen=True)
class Inside:
    """Who has come in by a session or a key.

    Attributes:
        account: Name.
        role: Of the account.
        entry: Identifies the session or key, without opening anything.
        csrf: Token that a changing request of this session must carry; None for keys.
        ends_at: When the session ends at the latest; None for keys.
    """

    account: str
    role: Role
    entry: str
    csrf: str | None = None
    ends_at: datetime | None = None


class Sessions:
    """Open, find and end sessions and keys.

    Args:
        store: Where they are kept.
        settings: How long sessions last.
        clock: Tells the moment.
    """

    def __init__(self, store: Store, settings: SessionSettings, clock: Callable[[], datetime] = now) -> None:
        self._store, self._clock = store, clock
        self._idle = timedelta(minutes=settings.idle_minutes)
        self._longest = timedelta(hours=settings.longest_hours)

    def open(self, account: str, before: str | None = None) -> str:
        """Begin a session of an account that has shown who it is, and return its token.

        Args:
            account: Name.
            before: Token that the same browser brought; its session ends, so that no token outlives a login.
        """
        token, moment = secrets.token_urlsafe(32), self._clock()
        with self._store.writing() as session:
            stale = or_(SessionRow.expires_at <= moment, SessionRow.seen_at <= moment - self._idle)
            session.execute(delete(SessionRow).where(stale))
            if before:
                session.execute(delete(SessionRow).where(SessionRow.sha256 == _hashed(before)))
            row = SessionRow(
                sha256=_hashed(token),
                account=account,
                csrf=secrets.token_urlsafe(32),
                created_at=moment,
                seen_at=moment,
                expires_at=moment + self._longest,
            )
            session.add(row)
            audit.append(session, account, "session.open", account)
        return token

    def find(self, token: str) -> Inside | None:
        """Return whose session a token opens; None where it has ended or never was."""
        digest, moment = _hashed(token), self._clock()
        with self._store.reading() as session:
            row = session.get(SessionRow, digest)
            account = session.get(AccountRow, row.account) if row else None
        if row is None or account is None or account.disabled or not hmac.compare_digest(row.sha256, digest):
            return None
        if moment >= row.expires_at or moment - row.seen_at >= self._idle:
            return None
        if moment - row.seen_at >= _SEEN_EVERY:
            with self._store.writing() as session:
                current = session.get(SessionRow, digest)
                if current is None:  # ended meanwhile
                    return None
                current.seen_at = moment
        return Inside(account.name, account.role, digest[:16], row.csrf, row.expires_at)

    def end(self, token: str) -> None:
        """End a session; nothing happens where there is none."""
        with self._store.writing() as session:
            row = session.get(SessionRow, _hashed(token))
            if row:
                session.delete(row)
                audit.append(session, row.account, "session.close", row.account)

    def add_key(self, account: str, actor: str) -> tuple[str, str]:
        """Make a key for a machine, and return its identifier and the key, which is nowhere kept.

        Raises:
            ConfigError: The account is a person's, or disabled.
            NotThereError: There is no such account.
        """
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        with self._store.writing() as session:
            owner = get_account(session, account)
            if owner.role != "machine" or owner.disabled:
                raise ConfigError(f"'{account}' is no machine that may come in. Keys are for accounts of that role.")
            row = ApiKeyRow(account=account, sha256=_hashed(key))
            session.add(row)
            session.flush()
            audit.append(session, actor, "key.add", row.id, account=account)
        return row.id, key

    def all_keys(self) -> Sequence[ApiKeyRow]:
        """Return all keys, the oldest first."""
        with self._store.reading() as session:
            return session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at)).all()

    def revoke_key(self, key_id: str, actor: str) -> None:
        """Let a key open nothing from now on.

        Raises:
            NotThereError: There is none.
        """
        with self._store.writing() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None:
                raise NotThereError(f"There is no key '{key_id}'. radlet key list shows those there are.")
            row.revoked_at = row.revoked_at or self._clock()
            audit.append(session, actor, "key.revoke", key_id, account=row.account)

    def find_key(self, key: str) -> Inside | None:
        """Return whose key this is; None where it opens nothing."""
        digest = _hashed(key)
        with self._store.reading() as session:
            row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.sha256 == digest)).first()
            account = session.get(AccountRow, row.account) if row else None
        if row is None or account is None or account.disabled or row.revoked_at:
            return None
        if not hmac.compare_digest(row.sha256, digest):
            return None
        return Inside(account.name, account.role, row.id)


def _hashed(token: str) -> str:
    # Tokens are 256 random bits: there is nothing to guess that a slow hash would protect.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
