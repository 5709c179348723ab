"""Structure from the outside: an ingest run and a server in, texts out; killed, misled, and refused."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from tests.fixtures.scripted_server import Reply, completion, given_text, is_asked_again, is_probe, serve, willing

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError, PrivacyError, RunError
from radlet.core.runs import run_digest
from radlet.data.manifests import read_examples, read_records
from radlet.data.structured import StructuredText
from radlet.stages import build, ingest, structure

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NAME = "QUEZALDA"
PRIORS = "Unchanged small left effusion. No pneumothorax."
PRESENT = "Small left effusion. No pneumothorax."
SENTENCE = "Small left effusion."
"""Only the sentence that compares is asked about."""


def run_ingest(root, rows):
    (root / "raw" / "images").mkdir(parents=True)
    for number, row in enumerate(rows):
        row |= {"study_id": f"s{number}", "patient_id": f"p{number}", "image": f"images/{number}.png"}
        Image.new("L", (24, 20), color=number).save(root / "raw" / row["image"])
    (root / "raw" / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {name: name for name in rows[0]}
    source = {"kind": "folder", "root": str(root / "raw"), "tables": [{"path": "table.jsonl"}], "columns": columns}
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=1, runs_dir=root / "runs")
    return ingest.run(config, Console(file=io.StringIO()))


def settings(root, server, jobs, **values):
    table = {"url": server if isinstance(server, str) else server.url, "max_retries": 0, "timeout_s": 10.0}
    table |= values.pop("server", {})
    model = {"name": "scripted", "output": "json_schema"} | values.pop("model", {})
    return {"jobs": jobs, "server": table, "model": model, "runs_dir": root / "runs", **values}


def run_structure(root, ingested, server, jobs, **values):
    console = Console(file=io.StringIO(), width=300)
    config = load_config(structure.StructureConfig, None, ingest=ingested, **settings(root, server, jobs, **values))
    return structure.run(config, console), console.file.getvalue()


def texts_of(run_dir):
    return {text.study_id: text for text in read_records(run_dir / "texts.parquet", StructuredText)}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


PRESENT_STATE = [{"kind": "present_state", "scope": "all"}]


def test_accepted_texts_reach_the_examples(tmp_path):
    ingested = run_ingest(tmp_path, [{"findings": PRIORS}, {"findings": "Clear lungs. No effusion."}])
    with serve(willing(lambda *_: completion({"text": SENTENCE}))) as server:
        run_dir, shown = run_structure(tmp_path, ingested, server, PRESENT_STATE, model={"output": "auto"})
        assert len(server.asked) == 1
        again, shown_again = run_structure(tmp_path, ingested, server, PRESENT_STATE, model={"output": "auto"})
        assert (again, len(server.asked)) == (run_dir, 1)
        assert "already done" in shown_again
    text = texts_of(run_dir)["s0"]
    assert text.sections == {"findings": PRESENT}
    assert text.jobs == {"present_state": {"findings": "model"}}
    assert text.model == "scripted"
    assert re.fullmatch(r"[0-9a-f]{16}", text.prompts["present_state"])
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["output"] == "json_schema"
    assert summary["jobs"] == {"present_state": {"accepted": 1, "asked": 1}}
    assert "present_state" in shown
    config = load_config(build.BuildConfig, None, ingest=ingested, structure=run_dir, runs_dir=tmp_path / "runs")
    built = build.run(config, Console(file=io.StringIO()))
    targets = {example.study_id: example.target for example in read_examples(built)}
    assert targets == {"s0": PRESENT, "s1": "Clear lungs. No effusion."}
    assert json.loads((built / "card.json").read_text())["hashes"]["structure"] == run_digest(run_dir)


BAD_ANSWERS = {
    "half json": ('{"text": "Small left', "not_json"),
    "extra keys": ({"text": SENTENCE, "note": "done"}, "wrong_form"),
    "another type": ({"text": 5}, "wrong_form"),
    "a list": ([SENTENCE], "not_json"),
    "refusal in words": ("I'm sorry, I cannot help with that.", "not_json"),
    "refusal in the form": ({"text": "I'm sorry, I cannot help with that."}, "observation_lost"),
    "hallucinated finding": ({"text": f"{SENTENCE} Cardiomegaly."}, "observation_added"),
    "flipped negation": ({"text": "No left effusion."}, "negation_changed"),
    "changed side": ({"text": "Small right effusion."}, "side_changed"),
    "added number": ({"text": "Small 3 cm left effusion."}, "number_changed"),
    "changed degree": ({"text": "Large left effusion."}, "severity_changed"),
    "unchanged": ({"text": PRIORS}, "prior_reference_left"),
    "empty": ({"text": " "}, "empty"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_bad_text_is_asked_for_again_and_then_left_to_the_rules(tmp_path, case):
    content, reason = BAD_ANSWERS[case]
    ingested = run_ingest(tmp_path, [{"findings": PRIORS}])
    with serve(lambda *_: completion(content)) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, PRESENT_STATE, max_reasks=2)
        assert len(server.asked) == 2  # a model that repeats itself is not asked a third time
        assert [is_asked_again(question) for question in server.asked] == [False, True]
    text = texts_of(run_dir)["s0"]
    assert text.jobs == {"present_state": {"findings": "rule"}}
    assert text.sections == {"findings": PRESENT}
    counts = json.loads((run_dir / "summary.json").read_text())["jobs"]["present_state"]
    assert counts["by_rule"] == 1
    assert counts["refused_by_reason"][reason] == 2
    aside = lines(run_dir / "kept_aside.jsonl")
    assert [row["attempt"] for row in aside] == [0, 1]
    assert all(row["id"] == "s0" and reason in row["reasons"] and "text" not in row for row in aside)
    (private,) = (tmp_path / "runs" / "private").glob("*-refused.jsonl")
    assert private.stat().st_mode & 0o077 == 0
    assert lines(private)[0]["text"] == (content if isinstance(content, str) else json.dumps(content))


def test_the_second_answer_may_be_let_in(tmp_path):
    def script(question, _):
        asked_again = is_asked_again(question)
        return completion(f"Of course:\n```json\n{json.dumps({'text': SENTENCE if asked_again else 'no'})}\n```")

    ingested = run_ingest(tmp_path, [{"findings": PRIORS}])
    with serve(script) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, PRESENT_STATE)
    counts = json.loads((run_dir / "summary.json").read_text())["jobs"]["present_state"]
    assert counts["accepted_when_asked_again"] == 1
    assert texts_of(run_dir)["s0"].jobs == {"present_state": {"findings": "model"}}


def test_a_server_that_fails_now_and_then_costs_no_study(tmp_path):
    def script(question, _):
        return Reply(b"{}", status=400) if "s3" in given_text(question) else completion({"text": SENTENCE})

    rows = [{"findings": PRIORS if number != 3 else "Unchanged small left effusion at s3."} for number in range(6)]
    ingested = run_ingest(tmp_path, rows)
    with serve(script) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, PRESENT_STATE)
    assert {name: text.jobs["present_state"]["findings"] for name, text in texts_of(run_dir).items()} == {
        f"s{number}": "rule" if number == 3 else "model" for number in range(6)
    }
    assert lines(run_dir / "kept_aside.jsonl")[0]["reasons"] == ["request_refused"]


def labelled(question):
    """Return the sections that the reports of these tests truly have."""
    numbers = re.findall(r"^(\d+)\. (.*)$", given_text(question), re.MULTILINE)
    names = {"Cough": "indication", "PA": "technique", "Impression-like": "impression"}
    return {
        f"s{number}": next((v for k, v in names.items() if text.startswith(k)), "findings") for number, text in numbers
    }


REPORT = (
    "Cough and fever. PA and lateral views. Clear lungs. No effusion. Impression-like conclusion: no acute disease."
)


def test_a_report_without_headings_is_cut_and_nothing_is_lost(tmp_path):
    rows = [{"report": REPORT}, {"report": f"FINDINGS: {REPORT}"}, {"report": "Clear lungs."}]
    ingested = run_ingest(tmp_path, rows)
    with serve(lambda question, _: completion(labelled(question))) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, [{"kind": "sections"}])
        assert len(server.asked) == 1
    (text,) = texts_of(run_dir).values()
    assert text.replaces_report
    assert text.sections == {
        "indication": "Cough and fever.",
        "technique": "PA and lateral views.",
        "findings": "Clear lungs. No effusion.",
        "impression": "Impression-like conclusion: no acute disease.",
    }
    assert " ".join(text.sections.values()) == REPORT
    config = load_config(build.BuildConfig, None, ingest=ingested, structure=run_dir, runs_dir=tmp_path / "runs")
    example = read_examples(build.run(config, Console(file=io.StringIO())))[0]
    assert example.target == "Clear lungs. No effusion."
    assert example.indication == "Cough and fever."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (dict.fromkeys(["s1", "s2", "s3", "s4"], "findings"), "wrong_form"),
        (dict.fromkeys(["s1", "s2", "s3", "s4", "s5", "s6"], "findings"), "wrong_form"),
        (dict.fromkeys(["s1", "s2", "s3", "s4", "s5"], "conclusion"), "wrong_form"),
        (dict.fromkeys(["s1", "s2", "s3", "s4", "s5"], "indication"), "no_findings"),
        ({"s1": "findings", "s2": "technique", "s3": "findings", "s4": "findings", "s5": "impression"}, "scattered"),
        (dict.fromkeys(["s1", "s2", "s3", "s4"], "indication") | {"s5": "findings"}, "misplaced"),
        (dict.fromkeys(["s2", "s3", "s4", "s5"], "impression") | {"s1": "findings"}, "no_findings"),
        ({"s1": "findings", "s2": "impression"} | dict.fromkeys(["s3", "s4", "s5"], "technique"), "out_of_order"),
    ],
    ids=["too few", "too many", "no section", "no findings", "in pieces", "denial outside", "empty findings", "order"],
)  # fmt: skip
def test_a_cut_that_cannot_be_is_refused(tmp_path, answer, reason):
    ingested = run_ingest(tmp_path, [{"report": REPORT}])
    with serve(lambda *_: completion(answer)) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, [{"kind": "sections"}])
    assert texts_of(run_dir) == {}
    counts = json.loads((run_dir / "summary.json").read_text())["jobs"]["sections"]
    assert counts["left"] == 1
    assert counts["refused_by_reason"][reason] == 2


def test_other_jobs_work_on_their_texts_in_order(tmp_path):
    answers = {
        "sin derrame pleural . normal .": "No pleural effusion. Normal.",
        "sin derrame pleural .": "No pleural effusion.",
        "derrame pleural .": "Left pleural effusion.",
    }

    def script(question, _):
        return completion({"text": answers.get(given_text(question), "There is cardiomegaly. No pneumothorax.")})

    labels = {"Cardiomegaly": 1, "Pneumothorax": 0}
    rows = [
        {"findings": "sin derrame pleural .", "labels": {}},
        {"findings": "derrame pleural .", "labels": {}},
        {"findings": None, "labels": labels},
        {"findings": "sin derrame pleural . normal .", "labels": {"pleural effusion": 1}},
    ]
    ingested = run_ingest(tmp_path, rows)
    jobs = [{"kind": "translate"}, {"kind": "labels_to_text"}]
    with serve(script) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, jobs, max_reasks=0)
    texts = texts_of(run_dir)
    assert texts["s0"].sections == {"findings": "No pleural effusion."}
    assert texts["s1"].sections == {"findings": ""}  # a refused translation leaves no Spanish among the examples
    assert texts["s2"].sections == {"findings": "There is cardiomegaly. No pneumothorax."}
    assert texts["s3"].jobs == {"translate": {"findings": "rule"}}
    reasons = {row["id"]: row["reasons"] for row in lines(run_dir / "kept_aside.jsonl")}
    assert reasons == {"s1": ["side_changed"], "s3": ["labels_disagree"]}


def test_broken_words_are_mended(tmp_path):
    ingested = run_ingest(tmp_path, [{"findings": "No pneumo- thorax."}, {"findings": "No pneumothorax."}])
    with serve(lambda *_: completion({"text": "No pneumothorax."})) as server:
        run_dir, _ = run_structure(tmp_path, ingested, server, [{"kind": "mend"}])
        assert len(server.asked) == 1
    assert texts_of(run_dir)["s0"].sections == {"findings": "No pneumothorax."}


def test_a_long_text_is_not_sent(tmp_path):
    ingested = run_ingest(tmp_path, [{"findings": "Unchanged small left effusion" + " and so on" * 50}])
    with serve(lambda *_: completion({"text": SENTENCE})) as server:
        jobs = [{**PRESENT_STATE[0], "max_input_chars": 100}]
        run_dir, _ = run_structure(tmp_path, ingested, server, jobs)
        assert server.questions == []
    assert lines(run_dir / "kept_aside.jsonl")[0]["reasons"] == ["too_long"]


def test_no_name_leaves_or_stays_in_an_artefact(tmp_path):
    # A name where the rules find it; one that the model makes up must not get past the private file either.
    told = f"Unchanged small left effusion, discussed with Dr. {NAME.title()} at 10:15."
    row = {"findings": told, "impression": PRIORS}
    ingested = run_ingest(tmp_path, [row])
    answers = iter([{"text": f"{SENTENCE} Dr. Zyxwort was told."}] * 4)
    with serve(willing(lambda *_: completion(next(answers)))) as server:
        run_dir, shown = run_structure(tmp_path, ingested, server, PRESENT_STATE, model={"output": "auto"})
        sent = json.dumps(server.questions)
    assert len(server.asked) == 4
    assert NAME.lower() not in sent.lower()
    assert "Zyxwort" not in sent
    allowed = {tmp_path / "runs" / "private", tmp_path / "runs" / ".cache", tmp_path / "raw"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and not allowed & set(path.parents) and ingested not in path.parents:
            content = path.read_bytes().lower()
            assert NAME.lower().encode() not in content, path
            assert b"zyxwort" not in content, path
    for text in texts_of(run_dir).values():
        assert "Zyxwort" not in json.dumps(text.sections)
    assert NAME.lower() not in shown.lower()


def test_errors_tell_what_to_do(tmp_path):
    rows = [{"findings": f"Unchanged small left effusion beside {n} nodules."} for n in range(8)]
    ingested = run_ingest(tmp_path, rows)
    with pytest.raises(PrivacyError, match="allow_host"):
        run_structure(tmp_path, ingested, "http://gpu.example.org/v1", PRESENT_STATE)
    with pytest.raises(ConfigError, match="unguarded"):
        run_structure(tmp_path, ingested, "http://127.0.0.1:1/v1", [{"kind": "translate", "language": "de"}])
    with serve(lambda *_: completion({"text": SENTENCE})) as server:
        with pytest.raises(RunError, match="goes on from"):
            run_structure(tmp_path, ingested, server, PRESENT_STATE, budget={"max_requests": 2}, max_reasks=0)
        assert len(server.asked) == 2
        run_dir, _ = run_structure(tmp_path, ingested, server, PRESENT_STATE, max_reasks=0)
        assert len(server.asked) == 8
    (tmp_path / "other").mkdir()
    other = run_ingest(tmp_path / "other", [{"findings": "Edema."}])
    with pytest.raises(DataError, match="another ingest run"):
        build.run(load_config(build.BuildConfig, None, ingest=other, structure=run_dir, runs_dir=tmp_path / "runs"))


def start_cli(tmp_path, ingested, server):
    recipe = tmp_path / "structure.toml"
    recipe.write_text(
        f'name = "killed"\nruns_dir = "{tmp_path / "runs"}"\ningest = "{ingested}"\n[server]\nurl = "{server.url}"\n'
        'num_concurrent = 2\n[model]\nname = "scripted"\n[[jobs]]\nkind = "present_state"\nscope = "all"\n'
    )
    command = [sys.executable, "-m", "radlet.cli", "structure", str(recipe)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def answered(question):
    """Answer every third study with something that is refused, so that there is more than one kind of outcome."""
    number = int(re.search(r"(\d+) mm", given_text(question))[1])
    return completion(
        {"text": given_text(question).replace("Unchanged small", "Large" if number % 3 == 0 else "Small")}
    )


def content_of(run_dir):
    """Return what a run made; its config.json tells the port of the server, which is another each time."""
    run_digest(run_dir)
    return {name: (run_dir / name).read_bytes() for name in ("texts.parquet", "kept_aside.jsonl", "summary.json")}


def test_a_killed_run_goes_on_and_asks_nothing_twice(tmp_path):
    rows = [{"findings": f"Unchanged small left effusion beside a {number} mm nodule."} for number in range(10, 30)]
    ingested = run_ingest(tmp_path, rows)
    with serve(willing(lambda question, _: answered(question))) as server:
        calm = start_cli(tmp_path, ingested, server)
        out, err = calm.communicate(timeout=120)
        assert calm.returncode == 0, err
        content, total = content_of(Path(out.strip())), len(server.questions)
    for path in sorted((tmp_path / "runs").rglob("*"), reverse=True):
        if ingested not in (path, *path.parents) and path not in ingested.parents:
            path.rmdir() if path.is_dir() else path.unlink()
    stuck, hold = threading.Event(), threading.Event()
    asked = []

    def script(question, _):
        if len(server.questions) > 9 and not hold.is_set():
            stuck.set()
            hold.wait(60)
        else:
            asked.append(json.dumps(question, sort_keys=True))
        return completion({"ready": True}) if is_probe(question) else answered(question)

    with serve(script) as server:
        killed = start_cli(tmp_path, ingested, server)
        assert stuck.wait(60)
        time.sleep(0.3)  # what was answered is on its way to the disk
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        hold.set()
        resumed = start_cli(tmp_path, ingested, server)
        out, err = resumed.communicate(timeout=120)
        assert resumed.returncode == 0, err
        assert content_of(Path(out.strip())) == content
        assert len(asked) == len(set(asked))
        # Only what was under way when the process died is asked for anew.
        assert total <= len(server.questions) <= total + 2
