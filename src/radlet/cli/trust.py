"""Commands about who may come into the reading room, and what they did there."""

import json
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from radlet.cli.arguments import actor
from radlet.core.config import load_config
from radlet.core.console import make_console
from radlet.core.errors import ConfigError

if TYPE_CHECKING:
    from radlet.reading.store.sessions import Sessions
    from radlet.reading.store.store import Store

accounts = typer.Typer(name="account", no_args_is_help=True, help="Who may come into the reading room.")
keys = typer.Typer(name="key", no_args_is_help=True, help="Keys of machines: Authorization: Bearer KEY.")
log = typer.Typer(name="audit", no_args_is_help=True, help="Who did what: the hash-chained log of the reading room.")

_SHORTEST_HASH = 12

DataDir = Annotated[
    Path | None, typer.Option(help="Folder of films and database, as radlet serve has it.", show_default=False)
]
Recipe = Annotated[
    Path | None, typer.Option(help="TOML of radlet serve, for its data_dir and database.", show_default=False)
]
Name = Annotated[str, typer.Argument(help="Of the account.", show_default=False)]


@accounts.command(name="add")
def add_account(
    name: Name,
    role: Annotated[
        Literal["reader", "admin", "machine"],
        typer.Option(help="A machine gets keys in place of a password.", show_default=False),
    ],
    data_dir: DataDir = None,
    recipe: Recipe = None,
) -> None:
    """Make an account; the password is asked for, or read from standard input."""
    with _store(data_dir, recipe, new=True) as store:
        from radlet.reading.store.accounts import Accounts

        password = None if role == "machine" else _ask_password()
        Accounts(store).add(name, role, password, actor())
    made = "It has no key yet: radlet key add." if role == "machine" else ""
    make_console().print(f"account '{name}' ({role}) made. {made}".rstrip(), markup=False, soft_wrap=True)


@accounts.command(name="list")
def list_accounts(data_dir: DataDir = None, recipe: Recipe = None) -> None:
    """List accounts, one a line: name, role, state."""
    with _store(data_dir, recipe) as store:
        from radlet.reading.store.accounts import Accounts

        for row in Accounts(store).all():
            typer.echo(f"{row.name}\t{row.role}\t{'disabled' if row.disabled else 'open'}")


@accounts.command(name="disable")
def disable_account(name: Name, data_dir: DataDir = None, recipe: Recipe = None) -> None:
    """Let an account in no more; its sessions end at once, its keys open nothing."""
    with _store(data_dir, recipe) as store:
        from radlet.reading.store.accounts import Accounts

        Accounts(store).disable(name, actor())


@accounts.command(name="password")
def set_password(name: Name, data_dir: DataDir = None, recipe: Recipe = None) -> None:
    """Give an account another password; its sessions end at once."""
    with _store(data_dir, recipe) as store:
        from radlet.reading.store.accounts import Accounts

        Accounts(store).set_password(name, _ask_password(), actor())


@keys.command(name="add")
def add_key(name: Name, data_dir: DataDir = None, recipe: Recipe = None) -> None:
    """Make a key for an account of the role machine and print it: it is shown this once."""
    with _sessions(data_dir, recipe) as sessions:
        key_id, key = sessions.add_key(name, actor())
    make_console().print(f"key {key_id}; it is kept nowhere else:", markup=False, soft_wrap=True)
    typer.echo(key)


@keys.command(name="list")
def list_keys(data_dir: DataDir = None, recipe: Recipe = None) -> None:
    """List keys, one a line: identifier, account, day, state."""
    with _sessions(data_dir, recipe) as sessions:
        for row in sessions.all_keys():
            state = "revoked" if row.revoked_at else "open"
            typer.echo(f"{row.id}\t{row.account}\t{row.created_at.date()}\t{state}")


@keys.command(name="revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="As radlet key list shows it.", show_default=False)],
    data_dir: DataDir = None,
    recipe: Recipe = None,
) -> None:
    """Let a key open nothing from now on."""
    with _sessions(data_dir, recipe) as sessions:
        sessions.revoke_key(key_id, actor())


@log.command(name="verify")
def verify_audit(
    data_dir: DataDir = None,
    recipe: Recipe = None,
    expect: Annotated[
        str | None,
        typer.Option(help="Hash of a line that was written down elsewhere, which must still be there."),
    ] = None,
) -> None:
    """Check every line of the log; exit 1 where one was changed, taken out or put in."""
    from radlet.reading.store import audit

    if expect is not None and len(expect) < _SHORTEST_HASH:
        raise ConfigError(f"--expect: give at least the first {_SHORTEST_HASH} digits of the hash.")
    with _store(data_dir, recipe) as store:
        verdict = audit.verify(store.audit_lines(), expect)
    console = make_console()
    if verdict.broken_at is not None:
        console.print(f"line {verdict.broken_at} does not follow from those before it: the log was tampered with.")
        raise typer.Exit(1)
    if not verdict.expected_found:
        console.print("the expected line is not in the log: lines were cut off, or this is another log.")
        raise typer.Exit(1)
    console.print(f"{verdict.num_lines} lines, unbroken. Write the last hash down elsewhere:", soft_wrap=True)
    typer.echo(verdict.last)


@log.command(name="show")
def show_audit(
    data_dir: DataDir = None,
    recipe: Recipe = None,
    last: Annotated[int, typer.Option(min=1, help="At most so many lines.")] = 50,
) -> None:
    """Print the newest lines of the log as JSON, the oldest of them first."""
    with _store(data_dir, recipe) as store:
        for row in deque(store.audit_lines(), maxlen=last):
            fields = ("number", "actor", "action", "subject", "detail", "sha256")
            line = {"at": row.at.isoformat(), **{name: getattr(row, name) for name in fields}}
            typer.echo(json.dumps(line))


@contextmanager
def _store(data_dir: Path | None, recipe: Path | None, *, new: bool = False) -> Iterator["Store"]:
    from radlet.reading.store.store import Store
    from radlet.serving.settings import ServeConfig
    from radlet.stages.node import open_store

    config = load_config(ServeConfig, recipe, [f"data_dir={json.dumps(str(data_dir))}"] if data_dir else [])
    opener = Store if new else open_store
    with opener(config.data_dir, config.database) as store:
        yield store


@contextmanager
def _sessions(data_dir: Path | None, recipe: Path | None) -> Iterator["Sessions"]:
    from radlet.reading.store.sessions import Sessions, SessionSettings

    with _store(data_dir, recipe) as store:
        yield Sessions(store, SessionSettings())


def _ask_password() -> str:
    """Ask twice on a terminal; else take the first line of standard input. Never an argument: others could see it."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
