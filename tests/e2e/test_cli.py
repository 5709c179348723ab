"""The command line as a user meets it: each command in a process of its own, on a checkpoint of a few kilobytes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from tests.fixtures.started import run
from tests.fixtures.tiny import make_report_model

from radlet.core.records import OBSERVATIONS
from radlet.data.images import load_pixel_values
from radlet.inference.drafter import Drafter, processor_options
from radlet.models.prompts import encode_prompt, encode_target
from radlet.models.report_model import CARD, ReportModel, save_report_model

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
DRAFT = "The heart is enlarged."


Radlet = Callable[..., "subprocess.CompletedProcess[str]"]
# Wide and without colour, so that no message is broken or marked up.
PLAIN = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture
def radlet(tmp_path_factory: pytest.TempPathFactory) -> Radlet:
    """Run a command in a process of its own."""

    def run_it(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return run(list(arguments), tmp_path_factory.mktemp("streams"), stdin, PLAIN)

    return run_it


def radlet_anew(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, in a process that has imported nothing."""
    environment = os.environ | PLAIN
    environment.pop("RADLET_DEBUG", None)
    command = [sys.executable, "-m", "radlet.cli", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def write_noise(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def teach(report_model: ReportModel, film: Path, text: str) -> None:
    """Train until the model answers any film with `text`; a draft of random bytes has no word to explain."""
    drafter, model = Drafter(report_model), report_model.model
    prompt = encode_prompt(
        report_model.tokenizer, report_model.card.prompt.render(1, None), drafter.report_model.num_image_tokens
    )
    target = encode_target(report_model.tokenizer, text)
    input_ids = torch.tensor([prompt + target])
    labels = torch.tensor([[-100] * len(prompt) + target])
    films = torch.from_numpy(load_pixel_values(film, drafter.image_settings))[None]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model(input_ids=input_ids, pixel_values=films, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, a folder with one good and one bad film, and a manifest with one good and one bad row."""
    folder = tmp_path_factory.mktemp("films")
    write_noise(folder / "single.png", 0)
    write_noise(folder / "archive" / "deep" / "good.png", 1)
    (folder / "archive" / "bad.png").write_bytes(b"no film at all")
    write_noise(folder / "listed.png", 2)
    rows = [{"id": "first", "image": "listed.png", "indication": "Cough."}, {"id": "second", "image": "missing.png"}]
    (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """A report model that has learnt one sentence."""
    report_model = make_report_model()
    teach(report_model, films / "single.png", DRAFT)
    folder = tmp_path_factory.mktemp("model") / "checkpoint"
    save_report_model(report_model, folder, processor_options(report_model.card))
    return folder


def test_generate_drafts_what_can_be_read_and_names_the_rest(checkpoint: Path, films: Path) -> None:
    done = radlet_anew(
        "generate",
        checkpoint,
        films / "single.png",
        films / "archive",
        films / "list.jsonl",
        "--jsonl",
        "--gate",
        "off",
    )
    assert done.returncode == 1, done.stderr
    rows = json_lines(done.stdout)
    assert [row["id"] for row in rows] == ["single.png", "deep/good.png", "first"]
    assert [Path(str(row["file"])).name for row in rows] == ["single.png", "good.png", "listed.png"]
    assert all(set(row) == {"id", "file", "findings", "notice"} for row in rows)
    assert rows[0]["findings"] == DRAFT
    assert all("unverified AI draft" in str(row["notice"]) for row in rows)
    complaints = done.stderr.splitlines()
    assert len(complaints) == 2, done.stderr  # and no progress bar of any library
    assert all("refused" in line for line in complaints)
    assert "bad.png" in complaints[0]
    assert "missing.png" in complaints[1]


def test_generate_tells_what_the_input_gate_says(radlet: Radlet, checkpoint: Path, films: Path) -> None:
    done = radlet("generate", checkpoint, films / "single.png", "--jsonl")
    assert done.returncode == 0, done.stderr
    [row] = json_lines(done.stdout)
    verdict = row["gate"]
    assert isinstance(verdict, dict)
    assert verdict["passed"] is False
    assert (row["findings"], verdict["reasons"][0]["code"]) == (DRAFT, "not_chest")
    told = [f"{films / 'single.png'}: warning: {reason['words']}" for reason in verdict["reasons"]]
    assert done.stderr.splitlines() == told
    stopped = radlet("generate", checkpoint, films / "single.png", "--gate", "refuse")
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert stopped.stderr.startswith(f"{films / 'single.png'}: refused: This does not look like a chest film.\n")


def test_generate_marks_every_line_as_a_draft(radlet: Radlet, checkpoint: Path, films: Path) -> None:
    done = radlet("generate", checkpoint, films / "single.png", "--gate", "off")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{films / 'single.png'}: {DRAFT} [unverified AI draft]\n"
    assert not done.stderr


def test_generate_asks_what_it_is_given(radlet: Radlet, checkpoint: Path, films: Path) -> None:
    done = radlet("generate", checkpoint, films / "single.png", "--question", "Is the heart enlarged?", "--jsonl")
    assert done.returncode == 0
    [row] = json_lines(done.stdout)
    assert row["question"] == "Is the heart enlarged?"
    assert isinstance(row["answer"], str)
    assert "findings" not in row


def test_a_model_that_answers_has_to_be_asked(radlet: Radlet, checkpoint: Path, films: Path, tmp_path: Path) -> None:
    answering = shutil.copytree(checkpoint, tmp_path / "answering")
    card = json.loads((answering / CARD).read_text())
    (answering / CARD).write_text(json.dumps(card | {"target_section": "answer"}))
    done = radlet("generate", answering, films / "single.png")
    assert done.returncode == 2
    assert "was tuned to answer questions" in done.stderr
    assert radlet("generate", answering, films / "single.png", "--question", "Why?").returncode == 0


def test_generate_without_one_readable_film_fails(radlet: Radlet, checkpoint: Path, films: Path) -> None:
    done = radlet("generate", checkpoint, films / "archive" / "bad.png", "--jsonl")
    assert done.returncode == 2
    assert not done.stdout
    assert "bad.png" in done.stderr


def test_explain_draws_a_word_of_the_draft(checkpoint: Path, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "where.png"
    done = radlet_anew("explain", checkpoint, films / "single.png", "--word", "heart", "--out", out)
    assert done.returncode == 0, done.stderr
    assert DRAFT in done.stdout
    picture = np.asarray(Image.open(out))
    film, overlay = picture[14:654, 14:654], picture[14:654, 668:1308]
    assert (film.max(axis=2) == film.min(axis=2)).all()  # grey
    assert (overlay.max(axis=2) != overlay.min(axis=2)).any()  # coloured where it looked


def test_explain_refuses_a_word_that_is_not_there(
    radlet: Radlet, checkpoint: Path, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "where.png"
    done = radlet("explain", checkpoint, films / "single.png", "--word", "pneumothorax", "--out", out)
    assert done.returncode == 2
    assert "does not occur" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("command", [["generate"], ["explain", "--word", "heart"]], ids=["generate", "explain"])
def test_a_model_without_films_is_not_asked_about_one(
    radlet: Radlet, command: list[str], checkpoint: Path, films: Path, tmp_path: Path
) -> None:
    blind = shutil.copytree(checkpoint, tmp_path / "blind")
    card = json.loads((blind / CARD).read_text()) | {"films": "none"}
    (blind / CARD).write_text(json.dumps(card))
    done = radlet(command[0], blind, films / "single.png", *command[1:])
    assert done.returncode == 2
    assert not done.stdout
    assert "trained without films" in done.stderr


def test_explain_names_a_film_it_cannot_read(radlet: Radlet, checkpoint: Path, films: Path, tmp_path: Path) -> None:
    film = films / "archive" / "bad.png"
    done = radlet("explain", checkpoint, film, "--word", "heart", "--out", tmp_path / "where.png")
    assert done.returncode == 2
    assert f"{film}: " in done.stderr


def test_label_reads_json_lines() -> None:
    rows = [
        {"id": "a", "text": "There is a left pleural effusion. No pneumothorax."},
        {"id": 7, "text": None},
        {"id": None, "text": " "},
        {"text": "No pneumothorax.\u2028The heart is enlarged."},
    ]
    done = radlet_anew("label", "-", stdin="\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert done.returncode == 0, done.stderr
    labelled = json_lines(done.stdout)
    assert [row["id"] for row in labelled] == ["a", "7", "5", "7"]
    states = [row["observations"] for row in labelled]
    assert all(list(observations) == list(OBSERVATIONS) for observations in states)
    assert states[0]["Pleural Effusion"] == "POSITIVE"
    assert states[0]["Pneumothorax"] == "NEGATIVE"
    # As in every judgement: where there is no text, not even "no finding" is stated.
    assert set(states[1].values()) == set(states[2].values()) == {"UNMENTIONED"}
    assert states[3]["Cardiomegaly"] == "POSITIVE"


def test_label_reads_a_report_a_line(radlet: Radlet) -> None:
    lines = ["The heart is enlarged.", "", "{sic} No pneumothorax.", "No effusion.\u2028The heart is enlarged."]
    done = radlet("label", "-", stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    first, second, third = json_lines(done.stdout)
    assert [first["id"], second["id"], third["id"]] == ["1", "3", "4"]
    assert second["observations"]["Pneumothorax"] == "NEGATIVE"
    for row in (first, third):
        assert row["observations"]["Cardiomegaly"] == "POSITIVE"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b", "txet": "Doe, Jane: clear."}', "line 3: has no"),
        ('{"id": "b", "text": ["Doe, Jane: clear."]}', "line 3: has no"),
        ('{"id": ["Jane"], "text": "Clear."}', "line 3: "),
        ('["Doe, Jane: clear."]', "line 3: is not a JSON object"),
        ("Doe, Jane: clear.", "line 3: is not JSON"),
    ],
)
def test_label_names_the_line_it_cannot_read(radlet: Radlet, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "reports.jsonl"
    file.write_text(f'{{"id": "a", "text": "Clear."}}\n\n{line}\n')
    done = radlet("label", file)
    assert done.returncode == 2
    assert not done.stdout
    assert message in done.stderr
    assert "Jane" not in done.stderr


def test_label_says_that_a_file_is_empty(radlet: Radlet, tmp_path: Path) -> None:
    (tmp_path / "reports.txt").write_text("\n \n")
    done = radlet("label", tmp_path / "reports.txt")
    assert done.returncode == 2
    assert "reports.txt: is empty" in done.stderr


def test_score_shows_a_dash_where_nothing_was_judged(radlet: Radlet, tmp_path: Path) -> None:
    file = tmp_path / "drafts.jsonl"
    file.write_text('{"id": 1, "reference": "The heart is enlarged.", "prediction": "The heart is enlarged."}\n')
    done = radlet("score", file, "--bootstrap", 50, "--out", tmp_path / "scorecard.json")
    assert re.search(r"^laterality +– +\[–, –\]$", done.stdout, re.MULTILINE)


def test_score_makes_groups_of_a_column(radlet: Radlet, tmp_path: Path) -> None:
    row = '{"id": "%d", "ward": "%s", "reference": "Left pleural effusion.", "prediction": "Left pleural effusion."}\n'
    (file := tmp_path / "drafts.jsonl").write_text("".join(row % (i, "ab"[i % 2]) for i in range(8)))
    out = tmp_path / "scorecard.json"
    done = radlet("score", file, "--bootstrap", 50, "--by", "ward", "--min-subgroup", 4, "--out", out)
    assert "observation_f1_micro_14 ward: a" in done.stdout
    assert json.loads(out.read_text())["subgroups"]["attributes"]["ward"]["groups"]["b"]["num_patients"] == 4


def test_score_writes_a_scorecard(radlet: Radlet, tmp_path: Path) -> None:
    texts = ["There is a left pleural effusion.", "The lungs are clear.", "The heart is enlarged."]
    rows = [{"id": str(n), "patient_id": f"p{n}", "reference": t, "prediction": t} for n, t in enumerate(texts)]
    file, out = tmp_path / "drafts.jsonl", tmp_path / "new" / "scorecard.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out.parent.mkdir()
    out.write_text("old")
    (tmp_path / "reader").hardlink_to(out)
    each, names = tmp_path / "new" / "each.jsonl", "observation_f1_micro_14, rouge_l,laterality,edit_distance_words"
    done = radlet("score", file, "--bootstrap", 50, "--metrics", names, "--per-report", each, "--out", out)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in json_lines(each.read_text())] == ["0", "1", "2"]
    laterality = {row["id"]: row["metrics"]["laterality"] for row in json_lines(each.read_text())}
    assert laterality == {"0": 1.0, "1": None, "2": None}
    assert (tmp_path / "reader").read_text() == "old"  # replaced whole, never written over
    metrics = json.loads(out.read_text())["metrics"]
    assert metrics["observation_f1_micro_14"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert metrics["rouge_l"]["value"] == 1.0
    assert len(metrics) == 4
    assert re.search(r"^edit_distance_words +0\.0000 +\[0\.0000, 0\.0000\]  ↓$", done.stdout, re.MULTILINE)
    assert "observation_f1_micro_14" in done.stdout


def test_check_passes_the_shipped_recipes_and_names_every_fault(tmp_path: Path) -> None:
    done = radlet_anew("check", RECIPES / "tiny")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(list((RECIPES / "tiny").glob("*.toml")))
    (tmp_path / "align.toml").write_text("seeed = 1\n")
    (tmp_path / "finetune.toml").write_text("seed = 'many'\n")
    wrong = radlet_anew("check", tmp_path)
    assert wrong.returncode == 2
    assert "seeed" in wrong.stderr
    assert "finetune.toml" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["genrate"], "genrate"),
        (["label"], "file"),
        (["label", "nowhere.jsonl"], "nowhere.jsonl"),
        (["check", "nosuchstage.toml"], "nosuchstage"),
        (["finetune", "nowhere.toml"], "nowhere.toml"),
        (["run", "nowhere"], "nowhere"),
        (["synthesize", "--form", "jpeg"], "png, dicom"),
        (["synthesize", "num_patiens=2"], "num_patients"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_is_one_message_and_status_2(radlet: Radlet, arguments: list[str], words: str, tmp_path: Path) -> None:
    done = radlet(*arguments, *(["--out", tmp_path / "out"] if arguments[0] == "run" else []))
    assert done.returncode == 2
    assert not done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(re.findall(r"^(?:error|╭─ Error)\b", done.stderr, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "nowhere", "{films}/single.png", "--word", "heart", "--out", "{folder}"], "one that ends in .png"),
        (["explain", "nowhere", "{films}/single.png", "--word", "heart", "--out", "e.xyz"], "one that ends in .png"),
        (["explain", "nowhere", "{films}/single.png", "--word", "heart", "--out", "{folder}.png"], "is a folder"),
        (["explain", "nowhere", "{films}/archive", "--word", "heart"], "{films}/archive: is a folder"),
        (["score", "nowhere.jsonl", "--out", "{folder}"], "is a folder"),
        (["score", "nowhere.jsonl", "--out", "{file}/deeper/score.json"], "{file} is a file"),
        (["synthesize", "num_patients=1", "--out", "{file}"], "{file} is a file"),
        (["demo", "--out", "{file}"], "runs_dir that is a folder"),
        (["synthesize", "num_patients=1", "size_px=64", "--out", "{blocked}"], "{blocked}/images: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_place_is_one_message_and_status_2(
    radlet: Radlet, arguments: list[str], message: str, films: Path, tmp_path: Path
) -> None:
    places = {name: tmp_path / name for name in ("folder", "file", "blocked")} | {"films": films}
    for name in ("folder", "folder.png", "blocked"):
        (tmp_path / name).mkdir()
    places["file"].write_text("mine")
    (places["blocked"] / "images").write_text("in the way")
    done = radlet(*(argument.format(**places) for argument in arguments))
    assert done.returncode == 2
    assert not done.stdout
    assert message.format(**places) in done.stderr
    assert "Traceback" not in done.stderr
    assert places["file"].read_text() == "mine"


def test_debug_shows_the_traceback() -> None:
    done = radlet_anew("--debug", "label", "nowhere.jsonl")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "DataError" in done.stderr


def test_a_missing_package_is_one_message() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['radlet', 'generate', 'model', 'film.png'];"
        "from radlet.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "radlet[models]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_synthesize_writes_films_and_a_table(radlet: Radlet, tmp_path: Path) -> None:
    done = radlet("synthesize", "num_patients=2", "size_px=64", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    films = sorted(tmp_path.rglob("*.png"))
    assert films
    assert done.stdout == f"{len(films)} films in {tmp_path}\n"
    rows = json_lines((tmp_path / "reports.jsonl").read_text())
    assert sorted(tmp_path / str(row["image"]) for row in rows) == films
    assert all(row["report"] for row in rows)


def test_synthesize_writes_dicom(radlet: Radlet, tmp_path: Path) -> None:
    done = radlet("synthesize", "num_patients=2", "size_px=64", "--form", "dicom", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    films = sorted(tmp_path.rglob("*.dcm"))
    assert films
    assert done.stdout == f"{len(films)} films in {tmp_path}\n"
    assert dcmread(films[0]).Modality == "DX"


def test_metrics_are_listed_with_what_they_state(radlet: Radlet):
    listed = radlet("metrics").stdout
    assert re.search(r"^rule_judge_errors +from 0 +↓ lower +\d+ *$", listed, re.MULTILINE)
    one = radlet("metrics", "cider").stdout
    assert "0 to 10" in one
    assert "Vedantam" in one
    wrong = radlet("metrics", "cidre")
    assert wrong.returncode == 2
    assert "Did you mean 'cider'?" in wrong.stderr


def test_the_version_is_told_without_a_command() -> None:
    from radlet import __version__

    assert radlet_anew("--version").stdout.strip() == __version__
