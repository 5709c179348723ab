from pathlib import Path

import pytest

from radlet.core.errors import ConfigError
from radlet.stages.check import check
from radlet.stages.grid import Grid, read_grid
from radlet.stages.pipeline import shipped_recipes

TINY = shipped_recipes("tiny")


@pytest.fixture
def grid(tmp_path: Path):
    def read(text: str, *overrides: str) -> Grid:
        path = tmp_path / "grid.toml"
        path.write_text(text, encoding="utf-8")
        return read_grid(path, TINY, tmp_path, overrides)

    return read


def new_stages(grid: Grid) -> dict[str, list[str]]:
    """Return, for each cell, the stages that no earlier one has."""
    seen: set[str] = set()
    new = {}
    for cell in grid.cells:
        new[cell.name] = [recipe for recipe, key in cell.keys.items() if key not in seen]
        seen |= set(cell.keys.values())
    return new


def test_the_recipe_comes_first_and_a_setting_that_it_has_is_no_cell_of_its_own(grid) -> None:
    cells = grid('[axes]\n"finetune.tuning.kind" = ["full", "lora"]\n')
    assert [cell.name for cell in cells.cells] == ["default", "finetune.tuning.kind=lora"]
    assert cells.default == {"finetune.tuning.kind": "full"}
    assert cells.cells[0].settings == {"finetune.tuning.kind": "full"}


def test_only_what_a_change_reaches_runs_again(grid) -> None:
    cells = grid(
        '[axes]\n"finetune.tuning.kind" = ["lora"]\n"build.sided_labels" = [false]\n"evaluate.seed" = [5]\n'
        '[axes.encoder]\nsmall = {"pretrain.encoder.widths" = [8, 8, 16, 16]}\n'
    )
    assert new_stages(cells) == {
        "default": list(cells.cells[0].keys),
        "finetune.tuning.kind=lora": ["finetune", "finetune-no_image", "evaluate"],
        "build.sided_labels=false": ["build", "pretrain", "align", "finetune", "finetune-no_image", "evaluate"],
        "evaluate.seed=5": ["evaluate"],
        "encoder=small": ["pretrain", "align", "finetune", "finetune-no_image", "evaluate"],
    }
    assert (cells.num_stages, cells.num_runs) == (5 * 7, 7 + 3 + 6 + 1 + 5)


def test_a_grid_has_every_combination_and_one_at_a_time_has_not(grid) -> None:
    axes = '[axes]\n"finetune.tuning.kind" = ["full", "lora"]\n"finetune.seed" = [1, 2, 3]\n'
    assert len(grid(axes).cells) == 1 + 1 + 2
    cells = grid('mode = "grid"\n' + axes)
    assert len(cells.cells) == 2 * 3
    assert cells.cells[0].name == "default"
    assert "finetune.tuning.kind=lora, finetune.seed=3" in [cell.name for cell in cells.cells]


def test_the_recipe_is_there_though_no_axis_lists_what_it_has(grid) -> None:
    cells = grid('mode = "grid"\n[axes]\n"finetune.seed" = [2, 3]\n')
    assert [cell.name for cell in cells.cells] == ["default", "finetune.seed=2", "finetune.seed=3"]
    assert cells.default == {"finetune.seed": None}


def test_the_recipes_own_setting_does_not_undo_another_axis(grid) -> None:
    cells = grid(
        '[axes.tuning]\nsmall = {"finetune.tuning" = {kind = "lora", rank = 2}}\n'
        '[axes.kind]\nfull = {"finetune.tuning.kind" = "full"}\n'
    )
    small = next(cell for cell in cells.cells if cell.name == "tuning=small")
    assert small.config("finetune", TINY, Path("x"), {"build": Path("a"), "align": Path("b")}).tuning == {
        "kind": "lora",
        "rank": 2,
    }


def test_seeds_reach_the_trained_stages_alone(grid) -> None:
    cells = grid('seeds = [1, 7]\nseeded = ["finetune"]\n[axes]\n"finetune.tuning.kind" = ["lora"]\n')
    assert [cell.name for cell in cells.cells] == [
        "default, seed 1",
        "default, seed 7",
        "finetune.tuning.kind=lora, seed 1",
        "finetune.tuning.kind=lora, seed 7",
    ]
    assert new_stages(cells)["default, seed 7"] == ["finetune", "finetune-no_image", "evaluate"]


def test_a_stage_is_left_out_or_left_untrained(grid) -> None:
    cells = grid(
        '[axes.stages]\nblind = {without = ["finetune-no_image"]}\nuntrained = {without = ["align", "pretrain"]}\n'
    )
    by_name = {cell.name: cell for cell in cells.cells}
    assert "finetune-no_image" not in by_name["stages=blind"].wiring
    assert "no_image_checkpoint" not in by_name["stages=blind"].wiring["evaluate"]
    done = {recipe: Path(recipe) for recipe in by_name["default"].wiring}
    untrained = by_name["stages=untrained"]
    assert untrained.config("align", TINY, Path("x"), done).training.loop.max_steps == 0
    assert untrained.config("pretrain", TINY, Path("x"), done).loop.max_steps == 0
    assert by_name["default"].config("align", TINY, Path("x"), done).training.loop.max_steps is None


def test_what_the_command_line_says_stands_in_every_cell_below_the_axes(grid) -> None:
    cells = grid('[overrides]\n"finetune.seed" = 3\n[axes]\n"align.seed" = [9]\n', "finetune.seed=4", "align.seed=5")
    done = {recipe: Path(recipe) for recipe in cells.cells[0].wiring}
    seeds = [
        (cell.config("align", TINY, Path("x"), done).seed, cell.config("finetune", TINY, Path("x"), done).seed)
        for cell in cells.cells
    ]
    assert seeds == [(5, 4), (9, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[axes]\n"finetune.tuning.kid" = [1]\n', r"finetune.tuning.kid=1: .*unknown key 'kid'.*Did you mean 'kind'"),
        ('[axes]\n"finetun.seed" = [1]\n', r"'finetun' is no recipe. Did you mean 'finetune'"),
        ('[axes]\n"align.lr" = [1]\n"build.sected" = ["x"]\n', r"align.lr=1: .*\n.*build.sected=x: .*unknown key"),
        ("[axes]\nfinetune.seed = [1]\n", r"Write a dotted key in quotes"),
        ('[axes]\n"finetune.seed" = []\n', r"the axis 'finetune.seed' has no setting"),
        ('[axes.a]\nb = {without = ["ingest"]}\n', r"'without' names 'ingest', which is needed by every cell"),
        ('[axes.a]\nb = {without = ["alin"]}\n', r"'alin', which is no stage. Did you mean 'align'"),
        ('[axes.a]\nb = {without = "align"}\n', r"'without' is a list of stages"),
        ('mod = "grid"\n[axes]\n"finetune.seed" = [1]\n', r"unknown key 'mod'. Did you mean 'mode'"),
        ("seeds = [1]\n", r"'axes' is required"),
        ('seeds = [1, 1]\n[axes]\n"finetune.batch_size" = [1]\n', r"one seed stands twice"),
        ('metrics = ["bleu_9"]\n[axes]\n"finetune.seed" = [1]\n', r"'metrics' names 'bleu_9'.*Did you mean 'bleu_"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(grid, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(text)


def test_check_validates_a_grid_over_the_folder_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('[axes]\n"finetune.sed" = [1]\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="Did you mean 'seed'"):
        check([TINY, path])
    with pytest.raises(ConfigError, match="give that folder too"):
        check([path])


def test_the_shipped_grid_fits_its_recipe() -> None:
    assert TINY.parent / "ablations" / "tiny.toml" in check([TINY.parent / "ablations"])
