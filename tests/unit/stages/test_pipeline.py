import pytest

from radlet.core.errors import ConfigError
from radlet.stages.pipeline import (
    _check_free,
    recipe_config,
    recipe_wiring,
    run_recipes,
    shipped_recipes,
    split_overrides,
)


def test_the_baseline_without_films_follows_what_is_changed_in_the_recipe_it_is_made_of(tmp_path):
    changes = split_overrides(["finetune.training.loop.epochs=2", "finetune-no_image.training.loop.lr=0.5"])
    tuned, blind = (
        recipe_config(
            recipe, shipped_recipes("tiny"), tmp_path, changes, {"examples": tmp_path, "checkpoint": tmp_path}
        )
        for recipe in ("finetune", "finetune-no_image")
    )
    assert (tuned.training.loop.epochs, blind.training.loop.epochs) == (2, 2)
    assert (tuned.films, blind.films) == ("as_aligned", "none")
    assert tuned.training.loop.lr != blind.training.loop.lr == 0.5


def test_a_recipe_that_may_be_left_out_is_run_where_it_is_there_and_only_there(tmp_path):
    nothing = split_overrides([])
    assert recipe_wiring(tmp_path, nothing)["build"] == {"ingest": "ingest"}
    assert "quality" not in recipe_wiring(tmp_path, nothing)
    (tmp_path / "quality.toml").write_text("")
    wiring = recipe_wiring(tmp_path, nothing)
    assert wiring["build"] == {"ingest": "ingest", "quality": "quality"}
    assert list(wiring)[:3] == ["ingest", "quality", "build"]


def test_an_override_of_a_recipe_that_was_left_out_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"'quality.seed=1': .* has no quality.toml"):
        recipe_wiring(tmp_path, split_overrides(["quality.seed=1"]))


def put_folder(path):
    path.mkdir()


def put_file(path):
    path.write_text("mine")


@pytest.mark.parametrize(
    ("name", "put"),
    [("checkpoint", put_folder), ("encoder", put_folder), ("encoder", put_file), ("scorecard.json", put_folder)],
)
def test_what_the_end_could_not_replace_is_refused_before_the_work_starts(tmp_path, name, put):
    put(tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name}: in the way"):
        run_recipes(shipped_recipes("tiny"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_an_earlier_run_left_is_not_in_the_way(tmp_path):
    (tmp_path / "scorecard.json").write_text("{}")
    for name, target in (("checkpoint", "old"), ("encoder", "gone")):
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "old").mkdir()
    _check_free(tmp_path)
