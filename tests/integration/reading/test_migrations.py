"""Tables of an older version are brought to the next one with all that they hold, or are left as they were.

The next version is made up here: the migrations of the code, and one more.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from radlet.core.errors import DataError
from radlet.reading.store import audit, database
from radlet.reading.store.database import MIGRATIONS, open_database, sqlite_url
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store
from radlet.reading.store.tables import Base, DraftRow

NEXT = """
import os, signal
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
branch_labels = depends_on = None


def upgrade():
    # SQLite changes a column by copying the table, which the films and drafts of the studies refer to.
    with op.batch_alter_table("studies") as studies:
        studies.add_column(sa.Column("site", sa.String(16), nullable=False, server_default="here"))
        studies.alter_column("description", type_=sa.String(400), existing_type=sa.Text())
    op.execute("UPDATE studies SET description = description || '+'")
    {then}
"""
FIRST_VERSION = "615f7efb89cf392fea3cd09134c939eddb06358d0bc6bb54072be6f716dee5aa"
"""SHA-256 over what SQLite says of the tables of v0001."""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
FAILED = "op.execute('SELECT none FROM nowhere')"
OPENING = """
import sys
from pathlib import Path
from radlet.reading.store import database
from radlet.reading.store.store import Store

database.MIGRATIONS = Path(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Store(Path(sys.argv[1]), sys.argv[2] or None) as store:
    print(store.worklist()[1])
"""


@pytest.fixture
def next_version(tmp_path: Path) -> Callable[..., Path]:
    """Make the migrations of a next version, whose last step ends as is told."""

    def make(then: str = "") -> Path:
        folder = tmp_path / f"migrations{len(list(tmp_path.glob('migrations*')))}"
        shutil.copytree(str(MIGRATIONS), folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "v0002.py").write_text(NEXT.replace("{then}", then))
        return folder

    return make


@pytest.fixture
def older(tmp_path: Path, database_url: str | None) -> tuple[Path, str | None]:
    """Folder and URL of a store of this version, with one signed study."""
    with Store(tmp_path / "room", database_url) as store:
        film = NewFilm(b"film", ".dcm", 10, 8, sop_instance_uid="1.2.3.4")
        study, image, _ = store.add_film(NewStudy("dicom", study_uid="1.2.3", description="Chest"), film, "anna")
        names = ("text", "model", "checkpoint_digest", "image_path_digest", "engine", "prompt", "radlet_version")
        row = DraftRow(study_id=study, image_id=image, sampling={}, gate={}, seconds=1.0, **dict.fromkeys(names, "x"))
        store.add_draft(row, "model")
        store.sign(study, "Clear.", "anna")
    return tmp_path / "room", database_url


def held(url: str) -> dict[str, list[Any]]:
    """Return all rows of all tables, in the words of the database."""
    engine = create_engine(url)
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        rows = {table.name: sorted(map(repr, connection.execute(table.select()))) for table in metadata.tables.values()}
    engine.dispose()
    return rows


def url_of(store: tuple[Path, str | None]) -> str:
    return store[1] or sqlite_url(store[0])


def begin(store: tuple[Path, str | None], migrations: Path) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", OPENING, str(store[0]), store[1] or "", str(migrations)]
    return subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def test_an_upgrade_keeps_all_that_was_there(
    older: tuple[Path, str | None], next_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(url_of(older))
    monkeypatch.setattr(database, "MIGRATIONS", next_version())
    with Store(*older) as store:
        study = store.worklist()[0][0]
        assert study.description == "Chest+"
        assert len(store.study(study.id).drafts) == len(store.study(study.id).signatures) == 1
        assert store.path_of(study.images[0]).read_bytes() == b"film"
        assert audit.verify(store.audit_lines()).broken_at is None
        with store.writing() as session:
            assert session.scalar(text("SELECT site FROM studies")) == "here"
        if older[1] is None:
            # A row that refers to none is refused again.
            with pytest.raises(IntegrityError, match="FOREIGN KEY"), store.writing() as session:
                session.execute(text("UPDATE images SET study_id = 'none'"))
    after = held(url_of(older))
    changed = ("alembic_version", "studies")
    assert {name: rows for name, rows in after.items() if name not in changed} == {
        name: rows for name, rows in before.items() if name not in changed
    }


def test_a_database_of_the_next_version_is_refused_and_left_alone(
    older: tuple[Path, str | None], next_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(database, "MIGRATIONS", next_version())
        Store(*older).close()
    before = held(url_of(older))
    with pytest.raises(DataError, match="newer radlet"):
        Store(*older)
    assert held(url_of(older)) == before


def test_an_upgrade_that_fails_or_is_killed_leaves_the_old_tables(
    older: tuple[Path, str | None], next_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(url_of(older))
    with monkeypatch.context() as newer:
        newer.setattr(database, "MIGRATIONS", next_version(FAILED))
        with pytest.raises(DataError, match="cannot be opened"):
            Store(*older)
    assert held(url_of(older)) == before
    killed = begin(older, next_version(KILLED))
    assert killed.communicate("\n")[0] == "ready\n"
    assert killed.returncode < 0
    assert held(url_of(older)) == before
    with Store(*older) as store:
        assert store.worklist()[0][0].description == "Chest"
    monkeypatch.setattr(database, "MIGRATIONS", next_version())
    with Store(*older) as store:
        assert store.worklist()[0][0].description == "Chest+"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_upgrade_that_leaves_rows_without_what_they_refer_to_is_undone(
    older: tuple[Path, str | None], next_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(url_of(older))
    monkeypatch.setattr(database, "MIGRATIONS", next_version("op.execute('DELETE FROM images')"))
    with pytest.raises(DataError, match="refer to some that are not there"):
        Store(*older)
    assert held(url_of(older)) == before


def test_of_two_processes_that_begin_at_once_one_upgrades(
    older: tuple[Path, str | None], next_version: Callable[..., Path]
) -> None:
    migrations = next_version()
    both = [begin(older, migrations) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.communicate()[0] for one in both] == ["1\n", "1\n"]
    assert "'Chest+'" in held(url_of(older))["studies"][0]


def described(url: str) -> dict[str, Any]:
    """Return what a database says of its tables."""
    engine = create_engine(url)
    asked = inspect(engine)
    tables = {
        name: {
            "columns": [f"{one['name']} {one['type']} {one['nullable']}" for one in asked.get_columns(name)],
            "key": asked.get_pk_constraint(name)["constrained_columns"],
            "refers": sorted(
                f"{one['name']} {one['constrained_columns']} {one['referred_table']} {one['options']}"
                for one in asked.get_foreign_keys(name)
            ),
            "unique": sorted(f"{one['name']} {one['column_names']}" for one in asked.get_unique_constraints(name)),
            "checks": sorted(f"{one['name']} {one['sqltext']}" for one in asked.get_check_constraints(name)),
            "indexes": sorted(f"{one['name']} {one['column_names']}" for one in asked.get_indexes(name)),
        }
        for name in sorted(asked.get_table_names())
        if name != "alembic_version"
    }
    engine.dispose()
    return tables


def test_the_migrations_make_the_constraints_that_the_code_has(tmp_path: Path) -> None:
    # Alembic's own comparison leaves out the checks.
    open_database(sqlite_url(tmp_path)).dispose()
    engine = create_engine(f"sqlite:///{tmp_path / 'made'}")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert described(sqlite_url(tmp_path)) == described(f"sqlite:///{tmp_path / 'made'}")


def test_the_first_version_stays_as_it_was_released(tmp_path: Path) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    digest = hashlib.sha256(json.dumps(described(sqlite_url(tmp_path)), sort_keys=True).encode()).hexdigest()
    assert digest == FIRST_VERSION, "databases have these tables: write another migration, and leave v0001 alone"
