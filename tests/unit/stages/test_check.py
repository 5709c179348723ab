from pathlib import Path

import pytest
from pydantic import Field

from radlet.core.config import Config, StageConfig
from radlet.core.errors import ConfigError
from radlet.stages import check


class Loop(Config):
    lr: float = Field(1e-3, gt=0)


class CookConfig(StageConfig):
    examples: Path
    encoder: str
    loop: Loop = Loop()


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    """A stage called `cook` beside the module `serve` that takes no recipe."""
    monkeypatch.setattr(check, "stage_names", lambda: ["cook", "serve"])
    monkeypatch.setattr(check, "stage_config", {"cook": CookConfig, "serve": None}.get)

    def write(name: str, text: str = 'encoder = "x"\n') -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_recipe_may_leave_its_upstream_folder_open(kitchen):
    config = check.check_recipe(kitchen("cook.toml"))
    assert isinstance(config, CookConfig)
    assert config.encoder == "x"


def test_a_folder_named_in_the_recipe_is_kept(kitchen):
    config = check.check_recipe(kitchen("cook.toml", 'encoder = "x"\nexamples = "runs/build/a"\n'))
    assert config.model_dump()["examples"] == Path("runs/build/a")


def test_a_variant_keeps_the_name_of_its_stage(kitchen):
    assert check.check([kitchen("cook-slowly.toml")])


def test_a_required_value_that_is_no_folder_stays_required(kitchen):
    with pytest.raises(ConfigError, match=r"cook\.toml: 'encoder' is required"):
        check.check_recipe(kitchen("cook.toml", ""))


@pytest.mark.parametrize("name", ["cok.toml", "serve.toml"])
def test_a_recipe_of_no_stage_is_answered_with_the_stages(kitchen, name):
    with pytest.raises(ConfigError, match=r"named after its stage.*Known: cook\."):
        check.check_recipe(kitchen(name))


def test_a_folder_stands_for_its_recipes_and_every_fault_is_told(kitchen, tmp_path):
    kitchen("cook.toml", 'encoder = "x"\nlop = 1\n')
    kitchen("cook-hot.toml", 'encoder = "x"\nloop.lr = -1\n')
    kitchen("cook-well.toml")
    with pytest.raises(ConfigError) as caught:
        check.check([tmp_path])
    hot, plain = str(caught.value).splitlines()
    assert "cook-hot.toml: 'loop.lr'" in hot
    assert "unknown key 'lop'. Did you mean 'loop'?" in plain


def test_an_empty_folder_is_no_success(tmp_path):
    with pytest.raises(ConfigError, match="No recipe found"):
        check.check([tmp_path])


def test_every_recipe_of_the_repository_is_right(repository):
    folders = [path for path in sorted((repository / "recipes").iterdir()) if path.is_dir()]
    assert check.check(folders)
