import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from radlet.core.config import Config, StageConfig, load_config, read_toml, resolved_json
from radlet.core.errors import ConfigError, UnknownNameError
from radlet.core.registry import Registry


class Lora(Config):
    kind: Literal["lora"] = "lora"
    rank: int = Field(8, gt=0)
    target_modules: tuple[str, ...] = ("q_proj",)


class Full(Config):
    kind: Literal["full"] = "full"
    lr_scale: float = 1.0


class Task(Config):
    metric: str = "bleu_4"


class Recipe(StageConfig):
    examples: Path | None = None
    tuning: Lora = Lora()
    spare: Lora | None = None
    chosen: Annotated[Lora | Full, Field(discriminator="kind")] = Lora()
    tasks: tuple[Task, ...] = ()
    by_name: dict[str, Task] = Field(default_factory=dict)
    min_steps: int = 0
    max_steps: int = 10
    """How many steps to take."""

    @model_validator(mode="after")
    def _ordered(self) -> "Recipe":
        if self.min_steps > self.max_steps:
            raise ValueError(f"min_steps ({self.min_steps}) must not exceed max_steps ({self.max_steps})")
        return self


class Needy(Config):
    examples: Path


TUNINGS = Registry("tunings", {"lora": "never:imported"})


class Plugged(Config):
    tuning: Lora

    @field_validator("tuning", mode="before")
    @classmethod
    def _of_its_kind(cls, value):
        assert value["kind"] in TUNINGS or TUNINGS[value["kind"]]
        return load_config(Lora, None, **value)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(Recipe, None, list(overrides))
    return str(caught.value)


def test_defaults_alone_are_a_configuration():
    assert load_config(Recipe, None) == Recipe()


def test_recipe_is_sparse_and_the_rest_keeps_its_defaults(tmp_path):
    recipe = write(tmp_path / "a.toml", 'name = "x"\n[tuning]\nrank = 2\n')
    assert load_config(Recipe, recipe) == Recipe(name="x", tuning=Lora(rank=2))


def test_given_beats_the_recipe_and_overrides_beat_both(tmp_path):
    recipe = write(tmp_path / "a.toml", "seed = 1\nmax_steps = 1\nmin_steps = 1\n")
    config = load_config(Recipe, recipe, ["seed=3"], seed=2, max_steps=2)
    assert (config.seed, config.max_steps, config.min_steps) == (3, 2, 1)


def test_overrides_leave_the_callers_values_alone():
    tuning = {"rank": 2}
    assert load_config(Recipe, None, ["tuning.rank=5"], tuning=tuning).tuning.rank == 5
    assert tuning == {"rank": 2}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("runs_dir=plain words", "plain words"),
        ("runs_dir=runs/build/x-1", "runs/build/x-1"),
        ('runs_dir="quoted"', "quoted"),
        ("runs_dir=a=b", "a=b"),
        ("runs_dir=", "."),
    ],
)
def test_an_override_that_is_not_toml_is_a_string(override, expected):
    assert load_config(Recipe, None, [override]).runs_dir == Path(expected)


def test_override_values_are_toml():
    config = load_config(Recipe, None, ["tuning.target_modules=['a', 'b']", "tuning.rank=4", "tasks=[{metric='x'}]"])
    assert config.tuning == Lora(rank=4, target_modules=("a", "b"))
    assert config.tasks == (Task(metric="x"),)


@pytest.mark.parametrize("name", ["tiny", "rank-8_b.2", "_x", "7"])
def test_a_name_is_one_part_of_a_path(name):
    assert load_config(Recipe, None, name=name).name == name


@pytest.mark.parametrize("name", ["", ".", "..", ".index", "../../away", "a/b", "a\\b", "two words", "a\n", "a\0"])
def test_a_name_that_could_nest_or_leave_the_folder_is_refused(name):
    with pytest.raises(ConfigError, match="'name'"):
        load_config(Recipe, None, name=name)


@given(st.integers(min_value=1))
def test_any_number_survives_an_override(rank):
    assert load_config(Recipe, None, [f"tuning.rank={rank}"]).tuning.rank == rank


@pytest.mark.parametrize("override", ["rank", "=4"])
def test_an_override_without_key_or_value_is_refused(override):
    assert "key=value" in refusal(override)


def test_an_override_below_a_plain_value_is_refused():
    assert "'seed' is a value" in refusal("seed=1", "seed.deep=1")


@pytest.mark.parametrize(
    ("override", "where", "hint"),
    [
        ("max_step=3", "max_step", "max_steps"),
        ("tuning.rnk=3", "tuning.rnk", "rank"),
        ("spare.rnk=3", "spare.rnk", "rank"),
        ("tasks=[{metrik='x'}]", "tasks.0.metrik", "metric"),
        ("by_name.one.metrik=x", "by_name.one.metrik", "metric"),
        ("chosen={kind='full', lr_scal=1}", "chosen.full.lr_scal", "lr_scale"),
    ],
)
def test_an_unknown_key_names_the_nearest_one_at_any_depth(override, where, hint):
    message = refusal(override)
    assert f"unknown key '{where}'" in message
    assert f"Did you mean '{hint}'?" in message


def test_an_unknown_key_lists_only_the_keys_of_its_table():
    message = refusal("tuning.zzzzzz=1")
    assert "Did you mean" not in message
    assert "Known: kind, rank, target_modules." in message


def test_a_bad_value_is_named_with_what_is_allowed_and_what_was_given():
    message = refusal("tuning.rank=-1")
    assert "'tuning.rank'" in message
    assert "greater than 0" in message
    assert "given: -1" in message


def test_every_fault_is_told_at_once():
    message = refusal("tuning.rank=-1", "max_step=1")
    assert "tuning.rank" in message
    assert "max_step" in message


def test_a_cross_field_check_speaks_in_its_own_words():
    message = refusal("min_steps=20")
    assert "min_steps (20) must not exceed max_steps (10)" in message
    assert "Value error" not in message


def test_a_missing_required_value_is_named():
    with pytest.raises(ConfigError, match="'examples' is required"):
        load_config(Needy, None)


def test_a_wrong_recipe_is_named_in_the_message(tmp_path):
    recipe = write(tmp_path / "wrong.toml", "sed = 1")
    with pytest.raises(ConfigError, match=r"wrong\.toml: unknown key 'sed'\. Did you mean 'seed'\?"):
        load_config(Recipe, recipe)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('kind = "lora"\nrnk = 1', ConfigError, r"plug\.toml: Lora: unknown key 'rnk'\. Did you mean 'rank'\?"),
        ('kind = "lorra"', UnknownNameError, r"plug\.toml: No tunings entry is called 'lorra'\. Did you mean 'lora'\?"),
    ],
)
def test_a_fault_in_a_looked_up_component_names_the_recipe_too(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        load_config(Plugged, write(tmp_path / "plug.toml", f"[tuning]\n{text}\n"))


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")


def test_a_folder_is_not_a_recipe(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path)


@pytest.mark.parametrize(("text", "place"), [("a = ", "end of document"), ("a = 1\nb = x\n", "line 2")])
def test_bad_toml_is_refused_with_its_place(tmp_path, text, place):
    with pytest.raises(ConfigError, match=rf"bad\.toml: is not valid TOML: .*{place}"):
        read_toml(write(tmp_path / "bad.toml", text))


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "image.toml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path / "image.toml")


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().seed = 4


def test_field_docstrings_become_descriptions():
    assert Recipe.model_fields["max_steps"].description == "How many steps to take."
    assert StageConfig.model_fields["seed"].description


def test_resolved_json_is_complete_stable_and_readable_back():
    config = Recipe(examples=Path("runs/x"), chosen=Full(lr_scale=0.5))
    text = resolved_json(config)
    assert text == resolved_json(Recipe.model_validate(json.loads(text)))
    assert set(json.loads(text)) == set(Recipe.model_fields)
    assert Recipe.model_validate(json.loads(text)) == config
