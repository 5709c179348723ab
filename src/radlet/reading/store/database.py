"""Opening the store: its folder, and SQLite by default, PostgreSQL by URL, brought to this version's tables."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import pq
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from radlet.core.addresses import is_loopback
from radlet.core.errors import ConfigError, DataError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another one, or anybody for a connection, before giving up."""
MIGRATIONS = files("radlet.reading.store") / "migrations"
"""How Alembic brings tables of an older version to this one."""
_CONNECT_TIMEOUT_S = 10
"""How long PostgreSQL may take to answer a new connection."""
_CONNECTIONS = 40
"""Of one process: as many as it has threads that ask."""
_DRIVER = "postgresql+psycopg"
_DECIDED = ("disable", "require", "verify-ca", "verify-full")
"""Values of sslmode by which the other side does not decide."""
_AS_WRITTEN = (
    "Give sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME; in a password, @ is written %40, "
    "/ %2F and % %25."
)
_WRITING = 0x7261646C
"""Advisory lock of PostgreSQL that one writer holds at a time, as SQLite's writers do."""


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the store in a data folder."""
    return f"sqlite:///{data_dir / 'store.sqlite'}"


def make_folder(data_dir: Path) -> None:
    """Make the folder of a store, for this user alone; one that is there keeps its rights.

    Raises:
        DataError: It cannot be made or written.
    """
    try:
        # Films are patients' data: nobody else on the machine may read them.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DataError(f"{data_dir} cannot be made ({error.strerror}). Give another data_dir.") from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise DataError(
            f"{data_dir} cannot be written: it is read-only, or belongs to another user. Let this user write there, or "
            "give another data_dir."
        )


def open_database(url: str) -> Engine:
    """Open a database and bring its tables to this version.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://USER:PASSWORD@HOST/NAME``.

    Raises:
        ConfigError: It is no URL of these, or names another machine without saying how the way there is encrypted.
        DataError: The database cannot be opened or brought to this version, or a newer radlet has written it.
    """
    address = _parse(url)
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"database: '{backend}' is not supported. Give a URL of sqlite or postgresql+psycopg.")
    if backend == "postgresql":
        _check_encrypted(address)
    engine = _engine(address)
    try:
        upgrade(engine)
    except CommandError:
        engine.dispose()
        raise DataError(
            "The database was written by a newer radlet: its tables are unknown to this one. Install that version."
        ) from None
    except DataError:
        engine.dispose()
        raise
    except SQLAlchemyError as error:
        engine.dispose()
        # Not its text: it may hold the URL with its password.
        raise DataError(
            f"The database cannot be opened ({type(error).__name__}). Check its URL, that it runs, and that this user "
            "may write to it."
        ) from None
    return engine


def for_reading(engine: Engine) -> Engine:
    """Return an engine of the same connections whose transactions see one state of the database and change nothing."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(writes=False, isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(writes=False)


def _engine(address: URL) -> Engine:
    # The parameters of a statement are patients' data: no error of the database's may quote them.
    shared = {"hide_parameters": True, "pool_timeout": BUSY_TIMEOUT_S, "max_overflow": _CONNECTIONS - 5}
    if address.get_backend_name() == "sqlite":
        if address.database and address.database != ":memory:":
            _make_private(Path(address.database))
        engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S}, **shared)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    address = address.set(drivername=_DRIVER).update_query_dict(
        {"connect_timeout": address.query.get("connect_timeout", str(_CONNECT_TIMEOUT_S))}
    )
    engine = create_engine(address, pool_pre_ping=True, **shared)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _make_private(path: Path) -> None:
    """Make the file of a database that is not there yet: SQLite would let others read it, and its logs are like it."""
    with suppress(OSError):  # told when it is opened
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def database_hosts(url: str) -> tuple[str, ...]:
    """Return the machines that a store is sought on; none for SQLite, and for sockets of the file system.

    Raises:
        ConfigError: It is no URL.
    """
    address = _parse(url)
    return _hosts(_options(address)) if address.get_backend_name() == "postgresql" else ()


def _options(address: URL) -> dict[str, Any]:
    """Return what libpq will be told: all that SQLAlchemy makes of a URL, whichever way it is written there."""
    try:
        return dict(address.set(drivername=_DRIVER).get_dialect()().create_connect_args(address)[1])
    except (ArgumentError, ValueError):
        raise ConfigError(f"database: is no URL. {_AS_WRITTEN}") from None


def _hosts(options: dict[str, Any]) -> tuple[str, ...]:
    # What the URL leaves out, libpq takes from variables (PGHOST), and from the file of a service (PGSERVICE).
    default = {one.keyword.decode(): one.val.decode() for one in pq.Conninfo.get_defaults() if one.val}
    hosts: list[str] = []
    # Where both are known, it is the address that is dialled, and the name that the certificate is held against.
    for key in ("host", "hostaddr"):
        given = options.get(key) or default.get(key, "")
        hosts += given.split(",") if isinstance(given, str) else [one for part in given for one in part.split(",")]
    return tuple(host for host in hosts if host and not host.startswith("/"))


def _check_encrypted(address: URL) -> None:
    options = _options(address)
    if "service" in options:
        raise ConfigError("database: names a service. Write machine and sslmode into the URL: only they are checked.")
    others = [host for host in _hosts(options) if not is_loopback(host)]
    # Left to itself, libpq takes whatever the other side offers, and asks nobody who that is.
    if others and options.get("sslmode") not in _DECIDED:
        raise ConfigError(
            f"database: {others[0]} is another machine, and the URL does not say how patients' data are encrypted on "
            "the way. Add ?sslmode=verify-full&sslrootcert=FILE, or ?sslmode=disable where nobody else can listen."
        )


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError quotes what stands in place of the port
        raise ConfigError(f"database: is no URL. {_AS_WRITTEN}") from None
    if "@" in (address.host or ""):
        # The end of a password, and not to be quoted as a machine.
        raise ConfigError(f"database: the URL holds an @ too many. {_AS_WRITTEN}")
    return address


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version, all of them or none; nothing happens where they are.

    Raises:
        DataError: Rows would refer to some that are gone; the tables are left as they were.
    """
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _referring_unchecked(engine) as connection, connection.begin():
        if _revision(connection) == ScriptDirectory.from_config(config).get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if engine.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise DataError("The tables cannot be brought to this version: rows refer to some that are not there.")


@contextmanager
def _referring_unchecked(engine: Engine) -> Iterator[Connection]:
    """Connect so that SQLite deletes nothing along with a table that is copied to change it.

    Dropping the old one would delete all rows that refer to it (sqlite.org/lang_altertable.html, section 7); and this
    cannot be turned off within a transaction.
    """
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    # The driver would begin a transaction late, when another writer may have been faster: `_begin_sqlite` does.
    connection.isolation_level = None
    # Readers never wait for the one writer, and what is committed survives a kill of the process and of the machine.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer waits for its turn at the beginning; one that has read first could not wait any more.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time, from the beginning: two could otherwise both make the same study, or wait for each other.
    if connection.get_execution_options().get("writes", True):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")
