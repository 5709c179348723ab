"""Opening the store: SQLite by default, PostgreSQL by URL, brought to this version's tables."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from radlet.core.errors import ConfigError, DataError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the store in a data folder."""
    return f"sqlite:///{data_dir / 'store.sqlite'}"


def open_database(url: str) -> Engine:
    """Open a database and bring its tables to this version.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://USER:PASSWORD@HOST/NAME``.

    Raises:
        ConfigError: The URL names neither.
        DataError: The database cannot be opened, or a newer radlet has written it.
    """
    address = _parse(url)
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"database: '{backend}' is not supported. Give a URL of sqlite or postgresql+psycopg.")
    # The parameters of a statement are patients' data: no error of the database's may quote them.
    if backend == "sqlite":
        engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True)
    try:
        upgrade(engine)
    except CommandError:
        raise DataError(
            "The database was written by a newer radlet: its tables are unknown to this one. Install that version."
        ) from None
    except SQLAlchemyError as error:
        # Not its text: it may hold the URL with its password.
        raise DataError(
            f"The database cannot be opened ({type(error).__name__}). Check its URL and that it runs."
        ) from None
    return engine


def database_host(url: str) -> str | None:
    """Return the machine that a URL names, if it names one.

    Raises:
        ConfigError: It is no URL.
    """
    return _parse(url).host


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        raise ConfigError(
            "database: is no URL. Give sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME."
        ) from None


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version; nothing happens where they are."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(files("radlet.reading.store") / "migrations"))
    with engine.begin() as connection:
        if _revision(connection) == ScriptDirectory.from_config(config).get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
