"""Several processes on one store, and the commands on it, whichever database it is."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.fixtures.databases import PASSWORD, PostgresServer
from typer.testing import CliRunner, Result

from radlet.cli import app
from radlet.core.errors import ConfigError, DataError
from radlet.reading.store import audit, database
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow
from radlet.reading.store.troubles import BusyError, UnwritableError

WRITER = """
import json, sys
from pathlib import Path
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store
from radlet.reading.store.basis import StateError

print("ready", flush=True)
sys.stdin.readline()
told = {"new": 0, "signed": 0}
# The tables are made by whoever comes first.
with Store(Path(sys.argv[1]), sys.argv[2] or None) as store:
    for number in range(12):
        study = NewStudy("dicom", study_uid=f"1.2.{number // 4}", patient_id="P1")
        film = NewFilm(b"film", ".dcm", 10, 8, sop_instance_uid=f"1.2.3.{number}")
        study_id, _, new = store.add_film(study, film, sys.argv[3])
        told["new"] += new
        if number % 4 == 3:
            try:
                store.sign(study_id, f"By {sys.argv[3]}.", sys.argv[3])
                told["signed"] += 1
            except StateError:
                pass
print(json.dumps(told))
"""


def test_two_processes_make_the_tables_keep_films_once_and_sign_once(tmp_path: Path, database_url: str | None) -> None:
    arguments = (str(tmp_path / "room"), database_url or "")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("anna", "otto")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    told: Counter[str] = Counter()
    for writer in writers:
        told.update(json.loads(writer.communicate()[0]))
    assert told == {"new": 12, "signed": 3}
    with Store(tmp_path / "room", database_url) as store:
        studies, total = store.worklist()
        assert total == 3
        assert all([image.position for image in study.images] == [0, 1, 2, 3] for study in studies)
        assert [len(store.study(study.id).signatures) for study in studies] == [1, 1, 1]
        verdict = audit.verify(store.audit_lines())
        assert (verdict.broken_at, verdict.num_lines) == (None, 15)
    assert len(list((tmp_path / "room" / "films").rglob("*.dcm"))) == 12


@pytest.fixture
def postgres_url(postgres: PostgresServer, new_database: Callable[[], str]) -> str:
    return postgres.url(new_database())


def radlet(*arguments: object, stdin: str = "") -> Result:
    told = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    assert PASSWORD not in told.output
    assert "S3cret" not in told.output
    return told


def test_the_commands_work_on_postgresql_and_never_say_its_password(tmp_path: Path, postgres_url: str) -> None:
    room, recipe = tmp_path / "room", tmp_path / "serve.toml"
    recipe.write_text(f'data_dir = "{room}"\ndatabase = "{postgres_url}"\n')
    told = radlet("account", "add", "anna", "--role", "reader", "--recipe", recipe, stdin="correct horse battery\n")
    assert told.exit_code == 0
    with Store(room, postgres_url) as store:
        film = NewFilm(_png(tmp_path), ".png", 40, 36)
        study_id, image_id, _ = store.add_film(NewStudy("upload", patient_name="DOE^JANE"), film, "anna")
        store.add_draft(_draft(study_id, image_id), "model")
        store.sign(study_id, "Mrs. Doe is well.", "anna")
    out = tmp_path / "out"
    assert radlet("feedback", "export", "--data-dir", room, "--out", out, "--database", postgres_url).exit_code == 0
    assert json.loads((out / "preferences.jsonl").read_text())["chosen"] == "Mrs. XXXX is well."
    assert "0 delivered, 0 not" in radlet("outbox", "list", room, "--database", postgres_url).stdout
    verified = radlet("audit", "verify", "--recipe", recipe)
    assert verified.exit_code == 0
    assert "5 lines, unbroken" in verified.output
    lines = [json.loads(line) for line in radlet("audit", "show", "--recipe", recipe).stdout.splitlines()]
    assert [line["action"] for line in lines][-1] == "feedback.export"
    with Store(room, postgres_url) as store, store.writing() as session:
        session.execute(text("UPDATE audit SET actor = 'otto' WHERE number = 3"))
    verified = radlet("audit", "verify", "--recipe", recipe)
    assert (verified.exit_code, "line 3 does not follow" in verified.output) == (1, True)
    assert not list(room.glob("*.sqlite*"))


def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    wrong = [
        postgres_url.replace(f":{postgres.port}/", ":1/"),
        postgres.url("none"),
        postgres.url("postgres", "wrong-S3cret"),
        f"{postgres_url}?nonsense=S3cret",
    ]
    for url in wrong:
        with pytest.raises(DataError, match="cannot be opened") as told:
            Store(tmp_path, url)
        assert told.value.__suppress_context__
        assert "S3cret" not in f"{told.value!r} {told.value.__cause__!r}"


@pytest.mark.parametrize(
    "host",
    [
        "@db.example/x",
        "@192.0.2.1:5432/x",
        "@[2001:db8::1]/x",
        "@localhost,db.example/x",
        "@/x?host=db.example",
        "@/x?host=db.example:5432",
        "@/x?hostaddr=192.0.2.1",
        "@/x?hostaddr=127.0.0.1,192.0.2.1",
        "@localhost/x?hostaddr=192.0.2.1",
        "@localhost/x?host=db.example",
        "@/x?host=localhost&host=db.example",
        "@/x?host=localhost:1&host=db.example:2",
        "@/x?host=localhost,db.example",
        "@db.example/x?sslmode=prefer",
        "@db.example/x?sslmode=",
        "@db.example/x?sslmode=Require",
        "@db.example/x?sslmode=verify-full&sslmode=prefer",
        "@db.example/x?sslmode=prefer&sslmode=verify-full",
        "@localhost,db.example/x?sslmode=disable&sslmode=verify-full",
    ],
)
def test_another_machine_is_reached_over_an_encrypted_way_or_not_at_all(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="sslmode=verify-full") as told:
        Store(tmp_path, f"postgresql+psycopg://radlet:S3cret{host}")
    assert "S3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ({"PGHOST": "db.example"}, "@/x"),
        ({"PGHOSTADDR": "192.0.2.1"}, "@/x"),
        ({"PGHOSTADDR": "192.0.2.1"}, "@localhost/x"),
        ({"PGSERVICE": "far"}, "@/x"),
        ({"PGSERVICE": "far"}, "@localhost/x"),
    ],
)
def test_a_machine_that_only_the_surroundings_name_is_another_machine_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, str], url: str
) -> None:
    (tmp_path / "services").write_text("[far]\nhostaddr=192.0.2.1\n")
    for key, value in {"PGSERVICEFILE": str(tmp_path / "services"), **named}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError, match="sslmode=verify-full"):
        Store(tmp_path, f"postgresql+psycopg://radlet:S3cret{url}")


def test_the_url_counts_before_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    assert database.database_hosts("postgresql://radlet@localhost/x") == ("localhost",)


def test_a_service_in_the_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names a service"):
        Store(tmp_path, "postgresql+psycopg://radlet@/x?service=far&sslmode=require")


@pytest.mark.parametrize(
    "rest",
    [":pg@S3cret@db.example/x", ":pg@db.example:S3cret/x", "@localhost:1,db:2/x", "@/x?host=a:1&host=b:2&port=3"],
)
def test_a_url_that_is_none_is_told_without_what_may_be_its_password(tmp_path: Path, rest: str) -> None:
    with pytest.raises(ConfigError, match="written %40") as told:
        Store(tmp_path, f"postgresql+psycopg://radlet{rest}")
    assert told.value.__context__ is None or told.value.__suppress_context__
    assert "S3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("@/x", ()),
        ("@/x?host=/run/postgresql", ()),
        ("@localhost,db.example/x", ("localhost", "db.example")),
        ("@/x?host=a:1&host=b:2", ("a", "b")),
        ("@a/x?hostaddr=192.0.2.1", ("a", "192.0.2.1")),
    ],
)
def test_every_machine_of_a_url_may_be_reached(url: str, hosts: tuple[str, ...]) -> None:
    assert database.database_hosts(f"postgresql://radlet{url}") == hosts
    assert database.database_hosts("sqlite:///x") == ()


def test_postgresql_that_is_busy_down_or_read_only_is_told(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    name = postgres_url.rpartition("/")[2]
    with Store(tmp_path, postgres_url) as store:
        study = store.add_film(NewStudy("upload"), NewFilm(b"x", ".png", 1, 1), "anna")[0]
        with postgres.connect(name) as other:
            other.execute("BEGIN")
            other.execute(f"SELECT pg_advisory_xact_lock({database._WRITING})")
            with pytest.raises(BusyError):
                store.save_edit(study, "x", "anna")
            assert store.worklist()[1] == 1, "readers do not wait"
            other.execute("ROLLBACK")
        # A restart of the server: connections that were open are found dead before they are used.
        postgres.hang_up(name)
        assert store.save_edit(study, "x", "anna").text == "x"
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres.hang_up(name)
        with pytest.raises(UnwritableError):
            store.add_film(NewStudy("upload"), NewFilm(b"y", ".png", 1, 1), "anna")
        assert len(list((tmp_path / "films").rglob("*.png"))) == 1
        assert audit.verify(store.audit_lines()).broken_at is None


def _png(folder: Path) -> bytes:
    from tests.fixtures.noise_films import write_noise

    return write_noise(folder / "noise.png", 1).read_bytes()


def _draft(study_id: str, image_id: str) -> DraftRow:
    words = ("model", "checkpoint_digest", "image_path_digest", "engine", "prompt", "radlet_version")
    row = DraftRow(study_id=study_id, image_id=image_id, text="Clear.", sampling={}, gate={}, seconds=1.0)
    for name in words:
        setattr(row, name, "x")
    return row
