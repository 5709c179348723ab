"""Reader studies: the page is blind and silent, the key opens it, and what readers said is summed up."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import ConfigError, DataError
from radlet.evaluation.judge_study import study_files
from radlet.evaluation.reader_results import expert_counts, preferences, read_results
from radlet.evaluation.reader_study import StudyKey, StudyOptions, make_study
from radlet.metrics.rule_judge import ERROR_KINDS

NUM = 12


def write_system(path, word, with_films=False, num=NUM):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(num):
        row = {"id": f"studyid-{number}", "patient_id": f"patientid-{number // 2}"}
        row |= {"reference": f"Reference {number}.", "prediction": f"{word} {number}. </script><b>&"}
        if with_films and number:
            film = path.parent / f"film{number}.png"
            Image.fromarray(np.full((30, 20), number, np.uint8)).save(film)
            row["image"] = film.name
        rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def systems(tmp_path):
    return write_system(tmp_path / "ourmodel.jsonl", "Effusion", True), write_system(tmp_path / "rival.jsonl", "Edema")


def content_of(html):
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', html, re.DOTALL)[1])


def test_the_page_does_not_tell_whose_a_draft_is(systems):
    study = make_study(*systems, StudyOptions())
    for word in ("ourmodel", "rival", "studyid", "patientid", "film1", "seed", '"A"', '"B"'):
        assert word not in study.html
    assert "Reference 1" not in study.html
    content = content_of(study.html)
    assert [case["case"] for case in content["cases"]] == list(range(1, NUM + 1))
    for case, entry in zip(content["cases"], study.key.cases, strict=True):
        words = {"A": "Effusion", "B": "Edema"}
        number = entry.id.split("-")[1]
        assert case["left"].startswith(f"{words[entry.left]} {number}. </script>")
        assert case["right"].startswith(f"{words[entry.right]} {number}. </script>")
        assert set(case) == {"case", "film", "reference", "left", "right"}
    assert {entry.left for entry in study.key.cases} == {"A", "B"}
    assert [entry.id for entry in study.key.cases] != [f"studyid-{number}" for number in range(NUM)]


def test_the_page_runs_its_own_script_and_asks_nobody(systems):
    html = make_study(*systems, StudyOptions()).html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|src=[\"'](?!data:)|@import|url\(| on[a-z]+=| style=", html)
    assert "Unverified AI drafts" in html


def test_films_and_references_are_shown_when_asked_for(systems):
    study = make_study(*systems, StudyOptions(with_references=True, film_px=64))
    cases = {entry.id: case for entry, case in zip(study.key.cases, content_of(study.html)["cases"], strict=True)}
    assert study.num_films == NUM - 1
    assert cases["studyid-0"]["film"] is None
    assert cases["studyid-3"]["film"].startswith("data:image/jpeg;base64,")
    assert cases["studyid-3"]["reference"] == "Reference 3."


def test_a_seed_gives_one_page_and_another_seed_another(systems):
    first, same, other = (make_study(*systems, StudyOptions(num_cases=5, seed=seed)) for seed in (1, 1, 2))
    assert (first.html, first.key) == (same.html, same.key)
    assert first.key.study != other.key.study
    assert len(first.key.cases) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "1 ids are in the first alone, 0 in the second"),
        (lambda rows: [{**rows[0], "reference": "Other."}, *rows[1:]], "other references for 1 of 12"),
    ],
)
def test_systems_of_other_reports_are_refused(systems, change, message):
    rows = change([json.loads(line) for line in systems[1].read_text().splitlines()])
    systems[1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=message):
        make_study(*systems, StudyOptions())
    with pytest.raises(DataError, match="given twice"):
        make_study(systems[0], systems[0], StudyOptions())


def answers(key, reader, prefer, counted=True):
    """Return a reader's file; `prefer` maps the number of a report to A, B, tie or None."""
    cases = []
    for entry in key.cases:
        chosen = prefer(int(entry.id.split("-")[1]))
        side = {entry.left: "left", entry.right: "right", "tie": "tie", None: None}[chosen]
        errors = {
            name: {kind: {"significant": int(system == "B"), "insignificant": 0} for kind in ERROR_KINDS}
            for name, system in (("left", entry.left), ("right", entry.right))
        }
        cases.append({"case": entry.case, "preference": side, "counted": counted, "comment": "", **errors})
    return {"form": "radlet reader study", "version": 1, "study": key.study, "reader": reader, "cases": cases}


@pytest.fixture
def read(systems, tmp_path):
    key = make_study(*systems, StudyOptions()).key
    (tmp_path / "key.json").write_text(key.model_dump_json())

    def read(*files):
        for number, file in enumerate(files):
            (tmp_path / f"reader{number}.json").write_text(json.dumps(file(key)))
        return read_results([tmp_path / f"reader{number}.json" for number in range(len(files))], tmp_path / "key.json")

    return read


def test_preferences_are_read_by_the_key(read):
    key, results = read(
        lambda key: answers(key, "R1", lambda n: "A" if n < 9 else "tie"),
        lambda key: answers(key, "R2", lambda n: "A" if n < 6 else None),
    )
    summary = preferences(key, results, num_resamples=200)
    assert summary.readers == {"R1": 12, "R2": 6}
    assert summary.chosen == {"A": 15, "B": 0, "tie": 3}
    assert summary.share.value == pytest.approx(16.5 / 18)
    assert 0.5 < summary.share.low < summary.share.value < summary.share.high <= 1
    assert summary.sign_test == pytest.approx(2 * 0.5**5)  # five patients for A, one tied
    assert summary.agreement is None  # where both chose, both chose A


def test_readers_who_agree_and_who_contradict_each_other(read):
    same = [lambda key, name=name: answers(key, name, lambda n: "AB"[n % 2]) for name in ("R1", "R2")]
    assert preferences(*read(*same), num_resamples=20).agreement == pytest.approx(1)
    other = [same[0], lambda key: answers(key, "R2", lambda n: "BA"[n % 2])]
    summary = preferences(*read(*other), num_resamples=20)
    assert summary.agreement < 0
    assert (summary.share.value, summary.sign_test) == (0.5, None)


def test_counts_go_to_their_system_and_only_where_they_were_made(read, tmp_path):
    key, results = read(
        lambda key: answers(key, "R1", lambda n: "A"), lambda key: answers(key, "R2", lambda n: "A", counted=False)
    )
    for system, number in (("A", 0), ("B", 1)):
        rows = expert_counts(key, results, system)
        assert {row["expert"] for row in rows} == {"R1"}
        assert {row["count"] for row in rows if row["significant"]} == {number}
        path = tmp_path / "counts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        study = study_files([path], num_resamples=10)
        assert (study.num_reports, study.num_patients) == (NUM, NUM // 2)


def test_files_that_do_not_belong_are_refused(read, tmp_path):
    reader = lambda key: answers(key, "R1", lambda n: "A")  # noqa: E731
    with pytest.raises(DataError, match="of the same reader"):
        read(reader, reader)
    with pytest.raises(DataError, match="of another study"):
        read(lambda key: {**reader(key), "study": "other"})
    with pytest.raises(DataError, match=r"reader0\.json: is not a file that the page"):
        read(lambda key: {**reader(key), "cases": "none"})
    with pytest.raises(DataError, match="is not a file that the page"):  # a kind without counts is no count of none
        read(lambda key: {**reader(key), "cases": [{**case, "left": {}} for case in reader(key)["cases"]]})
    with pytest.raises(DataError, match="of another study"):  # a case twice would count twice
        read(lambda key: {**reader(key), "cases": [*reader(key)["cases"], reader(key)["cases"][0]]})
    with pytest.raises(DataError, match="No file holds a preference"):
        preferences(*read(lambda key: answers(key, "R1", lambda n: None)))


def test_the_key_cannot_take_the_place_of_the_page(systems, tmp_path):
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["reader-study", *map(str, systems), "--out", str(page), "--key", str(page)])
    assert isinstance(done.exception, ConfigError)
    assert not page.exists()


def test_the_command_from_page_to_judge_study(systems, tmp_path):
    run = lambda *words: CliRunner().invoke(app, [str(word) for word in words])  # noqa: E731
    page = tmp_path / "out" / "page.html"
    made = run("reader-study", *systems, "--out", page, "--cases", 8)
    assert made.exit_code == 0, made.output
    assert "8 cases" in made.stdout
    key = StudyKey.model_validate_json((tmp_path / "out" / "page.key.json").read_text())
    saved = tmp_path / "r1.json"
    saved.write_text(json.dumps(answers(key, "R1", lambda n: "A")))
    summed = run(
        "reader-study", "--results", saved, "--key", tmp_path / "out" / "page.key.json", "--out", tmp_path / "s"
    )
    assert summed.exit_code == 0, summed.output
    assert "preferred: ourmodel 8, rival 0, no preference 0" in summed.stdout
    assert json.loads((tmp_path / "s" / "preferences.json").read_text())["chosen"] == {"A": 8, "B": 0, "tie": 0}
    judged = tmp_path / "judged.jsonl"
    assert run("judge", systems[1], "--out", judged).exit_code == 0
    study = run(
        "judge-study",
        tmp_path / "s" / "counts-rival.jsonl",
        judged,
        "--out",
        tmp_path / "study.json",
        "--bootstrap",
        20,
    )
    assert study.exit_code == 0, study.output
    assert "judged: 8 of 8 reports judged" in study.stdout
    assert "4 judged reports were counted by no expert" in study.stdout
    html = (tmp_path / "study.html").read_text()
    assert "Judges beside experts" in html
    assert "studyid" not in html
    assert not re.search(r"https?://|<script", html)
    for words in (["reader-study"], ["reader-study", "--results", saved]):
        assert run(*words).exit_code != 0
