"""Coming in with a name and a password."""

from dataclasses import dataclass

from radlet.reading.store.accounts import Accounts
from radlet.reading.store.sessions import Sessions
from radlet.reading.store.store import Store
from radlet.serving.rates import Attempts

_WINDOW_S = 900.0
_MOST_OF_NAME = 10
_MOST_OF_ADDRESS = 50
"""More than for a name: behind one address may sit a whole department."""


@dataclass(frozen=True)
class LoggedIn:
    """What came of a login.

    Attributes:
        token: Of the new session; None where nobody came in.
        wait_s: When to try again, where there were too many attempts.
    """

    token: str | None = None
    wait_s: int | None = None


class Door:
    """Check names and passwords, not too often.

    Args:
        store: Of the accounts.
        sessions: That are opened.
    """

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self.accounts, self.sessions = Accounts(store), sessions
        self._store = store
        self._by_name = Attempts(_MOST_OF_NAME, _WINDOW_S)
        self._by_address = Attempts(_MOST_OF_ADDRESS, _WINDOW_S)

    def log_in(self, name: str, password: str, address: str, before: str | None) -> LoggedIn:
        """Open a session for somebody who knows a password.

        Args:
            name: Of the account; one that does not exist is answered alike.
            password: As typed.
            address: Where the request comes from.
            before: Token of the session that the browser had.
        """
        waits = (self._by_address.begin(address), self._by_name.begin(name))
        wait_s = max((wait for wait in waits if wait), default=None)
        if wait_s:
            return LoggedIn(wait_s=wait_s)
        right = self.accounts.check(name, password)
        # What was typed into the field of the name may be anything, even a password: it is noted only as a known name.
        known = self.accounts.exists(name)
        if not right:
            self._store.note(name if known else "unknown", "session.refuse", name if known else "unknown")
            return LoggedIn()
        self._by_name.forget(name)
        self._by_address.take_back(address)
        return LoggedIn(token=self.sessions.open(name, before))
