"""Accounts: who may come in, with which role, and the passwords of people (Argon2id, RFC 9106)."""

import re
import threading
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from radlet.core.errors import ConfigError
from radlet.reading.store import audit
from radlet.reading.store.basis import NotThereError, StateError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import AccountRow, Role, SessionRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of accounts kept here. Those of an issuer hold an @: the two cannot be taken for each other."""
MIN_PASSWORD = 12
MAX_PASSWORD = 256
_AT_ONCE = 2
"""Passwords checked at the same time: each takes 64 MiB, and whoever asks has not logged in yet."""


class Accounts:
    """Keep accounts and check passwords.

    Args:
        store: Where they are kept.
        hasher: Of passwords.
    """

    def __init__(self, store: Store, hasher: PasswordHasher | None = None) -> None:
        self._store = store
        self._hasher = hasher or PasswordHasher()
        # Checked where there is no account or no password, so that the answer takes as long.
        self._nobodys = self._hasher.hash("nobody's password")
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def add(self, name: str, role: Role, password: str | None, actor: str) -> None:
        """Make an account; machines have no password but keys.

        Raises:
            ConfigError: Name or password cannot be used.
            StateError: There is such an account.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"'{name}' is no name of an account: 1 to 64 letters, digits, dots, hyphens and underscores, the first "
                "a letter or digit."
            )
        if (password is None) != (role == "machine"):
            raise ConfigError("Readers and admins have a password, machines have keys instead (radlet key add).")
        hashed = self._hash(password) if password is not None else None
        with self._store.writing() as session:
            if session.get(AccountRow, name):
                raise StateError(f"There is an account '{name}' already.")
            session.add(AccountRow(name=name, role=role, password_hash=hashed))
            audit.append(session, actor, "account.add", name, role=role)

    def all(self) -> Sequence[AccountRow]:
        """Return all accounts by name."""
        with self._store.reading() as session:
            return session.scalars(select(AccountRow).order_by(AccountRow.name)).all()

    def disable(self, name: str, actor: str) -> None:
        """Let an account in no more: its sessions end, its keys open nothing.

        Raises:
            NotThereError: There is none.
        """
        with self._store.writing() as session:
            get_account(session, name).disabled = True
            end_sessions(session, name)
            audit.append(session, actor, "account.disable", name)

    def set_password(self, name: str, password: str, actor: str) -> None:
        """Give an account another password; its sessions end.

        Raises:
            ConfigError: The password cannot be used, or the account has none.
            NotThereError: There is no such account.
        """
        hashed = self._hash(password)
        with self._store.writing() as session:
            account = get_account(session, name)
            if account.password_hash is None:
                raise ConfigError(f"'{name}' logs in without a password kept here.")
            account.password_hash = hashed
            end_sessions(session, name)
            audit.append(session, actor, "account.password", name)

    def check(self, name: str, password: str) -> bool:
        """Say whether this opens an account that is not disabled; no answer takes longer than another."""
        with self._store.reading() as session:
            account = session.get(AccountRow, name)
        kept = account.password_hash if account else None
        right = self._verify(kept or self._nobodys, password)
        if not (right and account and kept and not account.disabled):
            return False
        if self._hasher.check_needs_rehash(kept):
            self._rehash(name, kept, password)
        return True

    def exists(self, name: str) -> bool:
        """Say whether there is such an account."""
        with self._store.reading() as session:
            return session.get(AccountRow, name) is not None

    def take_in(self, name: str, role: Role) -> bool:
        """Note an account that an issuer vouches for, with the role it has there; tell whether it may come in."""
        with self._store.writing() as session:
            account = session.get(AccountRow, name)
            if account is None:
                account = AccountRow(name=name, role=role, disabled=False)
                session.add(account)
                audit.append(session, name, "account.add", name, role=role)
            elif account.role != role:
                account.role = role
                end_sessions(session, name)
                audit.append(session, name, "account.role", name, role=role)
            return not account.disabled

    def _verify(self, kept: str, password: str) -> bool:
        # The work for a longer one would be the asker's to choose.
        if len(password) > MAX_PASSWORD:
            password = ""
        with self._turns:
            try:
                return self._hasher.verify(kept, password)
            except (VerificationError, InvalidHashError):
                return False

    def _rehash(self, name: str, kept: str, password: str) -> None:
        hashed = self._hash(password)
        with self._store.writing() as session:
            account = get_account(session, name)
            if account.password_hash == kept:
                account.password_hash = hashed

    def _hash(self, password: str) -> str:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise ConfigError(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters; this has {len(password)}.")
        with self._turns:
            return self._hasher.hash(password)


def get_account(session: Session, name: str) -> AccountRow:
    """Return an account within a transaction.

    Raises:
        NotThereError: There is none.
    """
    found = session.get(AccountRow, name)
    if found is None:
        raise NotThereError(f"There is no account '{name}'. radlet account list shows those there are.")
    return found


def end_sessions(session: Session, name: str) -> None:
    """Log an account out everywhere."""
    session.execute(delete(SessionRow).where(SessionRow.account == name))
