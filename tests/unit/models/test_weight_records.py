"""Published weights: what is known of each, what is on disk, and whether it is what was recorded."""

import json

import pytest
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError, UnknownNameError
from radlet.models.architectures import ARCHITECTURES
from radlet.models.language_families import language_families
from radlet.models.templates import prompt_templates
from radlet.models.towers import TOWERS
from radlet.models.weight_records import look_up, read_record, record_weights, weight_record, weight_records

QUIET = Progress(quiet=True)


@pytest.fixture
def weights(tmp_path):
    """A folder that holds one complete publication and the beginning of another."""
    for name, files in {
        "gpt2": ("config.json", "vocab.json", "model.safetensors"),
        "vicuna-7b-v1.5": ("config.json",),
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}" if file == "config.json" else file)
    return tmp_path


@pytest.mark.parametrize("name", sorted(weight_records()))
def test_a_record_names_what_the_code_knows(name):
    record = weight_record(name)
    assert record.licence
    assert "http" not in record.repository
    if record.kind == "report_model":
        assert record.template in prompt_templates()
        assert record.family in ARCHITECTURES
    if record.kind == "language_model":
        assert record.template in language_families()[record.family].templates
    if record.kind == "tower":
        assert record.family in TOWERS
        assert record.preprocessing
    assert all(len(digest) == 64 for digest in record.sha256.values())


def test_what_is_here_missing_or_begun_is_told_apart(weights):
    assert look_up(weights, "gpt2", {}).state == "here"
    assert look_up(weights, "biomedlm", {}).state == "missing"
    begun = look_up(weights, "vicuna-7b-v1.5", {})
    assert (begun.state, begun.detail.split(",")[0]) == ("incomplete", "no tokenizer.model or tokenizer.json")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"model_type": "llama"}', "config.json is of a llama, not a gpt2"),
        ('{"model_type"', "config.json cannot be read"),
        ('{"model_type": "gpt2"}', ""),
    ],
)
def test_another_model_under_the_name_is_told(weights, config, told):
    (weights / "gpt2" / "config.json").write_text(config)
    found = look_up(weights, "gpt2", {})
    assert (found.state, found.detail) == ("changed" if told else "here", told)


def test_a_download_that_was_broken_off_is_not_complete(weights):
    (weights / "gpt2" / "model.safetensors").rename(weights / "gpt2" / "model-1.safetensors")
    index = weights / "gpt2" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    found = look_up(weights, "gpt2", {})
    assert (found.state, found.detail) == ("incomplete", "no model-2.safetensors")
    (weights / "gpt2" / "model-2.safetensors").touch()
    assert look_up(weights, "gpt2", {}).state == "here"
    index.write_text("[]")
    assert look_up(weights, "gpt2", {}).detail == "no readable model.safetensors.index.json"


def test_a_changed_file_is_found_by_its_digest(weights):
    recorded = record_weights(weights, QUIET)
    assert recorded == read_record(weights)
    assert look_up(weights, "gpt2", recorded, verify=True).state == "as recorded"
    (weights / "gpt2" / "model.safetensors").write_text("other")
    assert look_up(weights, "gpt2", recorded).state == "here"  # nothing is read unasked
    found = look_up(weights, "gpt2", recorded, verify=True)
    assert (found.state, found.detail) == ("changed", "model.safetensors")
    (weights / "weights.json").write_text("[")
    with pytest.raises(DataError, match="is damaged"):
        read_record(weights)


def run(*arguments: object, **environment: str) -> object:
    return CliRunner(env=environment).invoke(app, ["models", *map(str, arguments)])


def test_the_command_tells_the_same_to_people_and_programs(weights):
    shown = run("--weights", weights, COLUMNS="200").output
    assert "gpt2" in shown
    assert "qwen3" in shown
    rows = [json.loads(line) for line in run("--jsonl", RADLET_WEIGHTS=str(weights)).output.splitlines()]
    assert {row["name"]: row["state"] for row in rows if row["state"] != "missing"} == {
        "gpt2": "here",
        "vicuna-7b-v1.5": "incomplete",
    }
    run("--weights", weights, "--record")
    one = json.loads(run("gpt2", "--weights", weights, "--verify", "--jsonl").output)
    assert one["state"] == "as recorded"
    assert "not recorded" in run("rad-dino", COLUMNS="200").output
    assert "{question}" in run("vicuna_v1", COLUMNS="200").output


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("rad-dyno",), UnknownNameError, "Did you mean 'rad-dino'"),
        (("--verify",), ConfigError, "need --weights"),
        (("--weights", "/nowhere/at/all"), ConfigError, "is no folder"),
    ],
    ids=["name", "verify", "folder"],
)
def test_the_command_says_what_is_wrong(arguments, error, said):
    done = run(*arguments)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)
