from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from radlet.core.errors import ConfigError
from radlet.reading.store import audit
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.basis import NotThereError, StateError
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.reading.store.store import Store
from radlet.serving.login import Door

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    with Store(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def accounts(store: Store) -> Accounts:
    return Accounts(store, CHEAP)


def test_only_the_right_password_of_an_open_account_is_right(accounts: Accounts) -> None:
    accounts.add("anna", "reader", PASSWORD, "test")
    accounts.add("pacs", "machine", None, "test")
    assert accounts.check("anna", PASSWORD)
    assert not accounts.check("anna", PASSWORD + " ")
    assert not accounts.check("pacs", "nobody's password"), "what unknown names are checked against opens nothing"
    assert not accounts.check("nobody", "nobody's password")
    assert not accounts.check("anna", "x" * 100_000)
    accounts.disable("anna", "test")
    assert not accounts.check("anna", PASSWORD)


def test_an_unknown_name_costs_as_much_work_as_a_known_one(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.add("anna", "reader", PASSWORD, "test")
    verified: list[str] = []
    own = accounts._verify
    monkeypatch.setattr(accounts, "_verify", lambda kept, given: (verified.append(kept), own(kept, given))[1])
    for name in ("anna", "nobody"):
        accounts.check(name, "wrong")
    known, unknown = (kept.rsplit("$", 2)[0] for kept in verified)
    assert known == unknown, "the same algorithm with the same parameters"


def test_a_password_kept_by_older_parameters_is_hashed_anew(store: Store, accounts: Accounts) -> None:
    accounts.add("anna", "reader", PASSWORD, "test")
    newer = Accounts(store, PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    assert newer.check("anna", PASSWORD)
    assert "t=2" in (newer.all()[0].password_hash or "")
    assert newer.check("anna", PASSWORD)


@pytest.mark.parametrize(
    ("name", "role", "password", "words"),
    [
        ("an na", "reader", PASSWORD, "no name"),
        ("anna@issuer", "reader", PASSWORD, "no name"),
        ("anna", "reader", "short", "12 to 256 characters"),
        ("anna", "reader", None, "have a password"),
        ("pacs", "machine", PASSWORD, "keys instead"),
    ],
)
def test_what_cannot_be_an_account_is_refused(
    accounts: Accounts, name: str, role: str, password: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        accounts.add(name, role, password, "test")
    assert not accounts.all()


def test_names_are_unique_and_must_be_there(store: Store, accounts: Accounts) -> None:
    accounts.add("anna", "reader", PASSWORD, "test")
    with pytest.raises(StateError, match="already"):
        accounts.add("anna", "admin", PASSWORD, "test")
    with pytest.raises(NotThereError, match="no account 'otto'"):
        accounts.disable("otto", "test")
    sessions = Sessions(store, SessionSettings())
    with pytest.raises(ConfigError, match="no machine"):
        sessions.add_key("anna", "test")
    with pytest.raises(NotThereError, match="no key"):
        sessions.revoke_key("none", "test")


def test_who_an_issuer_vouches_for_comes_in_with_its_role_there(store: Store, accounts: Accounts) -> None:
    sessions = Sessions(store, SessionSettings())
    assert accounts.take_in("anna@issuer", "reader")
    token = sessions.open("anna@issuer")
    assert accounts.take_in("anna@issuer", "admin")
    assert sessions.find(token) is None, "with another role one logs in again"
    with pytest.raises(ConfigError, match="without a password"):
        accounts.set_password("anna@issuer", PASSWORD, "test")
    accounts.disable("anna@issuer", "test")
    assert not accounts.take_in("anna@issuer", "admin")


def test_too_many_attempts_close_the_door_for_right_and_wrong_alike(store: Store) -> None:
    door = Door(store, Sessions(store, SessionSettings()))
    door.accounts = Accounts(store, CHEAP)
    door.accounts.add("anna", "reader", PASSWORD, "test")
    for _ in range(9):
        assert door.log_in("anna", "wrong", "a", None).token is None
    assert door.log_in("anna", PASSWORD, "a", None).token, "the tenth is right, and slips are forgotten"
    for name in ("anna", "nobody"):
        answers = [door.log_in(name, "wrong", f"{name}{number}", None) for number in range(11)]
        assert [bool(answer.wait_s) for answer in answers] == [False] * 10 + [True], name
    assert door.log_in("anna", PASSWORD, "b", None).wait_s, "right or wrong"
    attempts = [door.log_in(f"name{number}", "wrong", "one address", None).wait_s for number in range(51)]
    assert [bool(wait) for wait in attempts] == [False] * 50 + [True]


def test_logins_are_noted_and_what_is_typed_for_a_name_is_not(store: Store) -> None:
    door = Door(store, Sessions(store, SessionSettings()))
    door.accounts = Accounts(store, CHEAP)
    door.accounts.add("anna", "reader", PASSWORD, "test")
    door.log_in("my secret password", "x", "a", None)
    door.log_in("anna", "x", "a", None)
    token = door.log_in("anna", PASSWORD, "a", None).token
    door.sessions.end(token or "")
    lines = [(line.actor, line.action) for line in store.audit_lines()][1:]
    assert lines == [
        ("unknown", "session.refuse"),
        ("anna", "session.refuse"),
        ("anna", "session.open"),
        ("anna", "session.close"),
    ]
    assert audit.verify(store.audit_lines()).broken_at is None
