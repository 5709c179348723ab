"""The grid of an ablation: a TOML file with axes of changes to a recipe folder, and the cells it spans.

A cell is the recipe with some overrides laid over it and, maybe, stages left out. What a cell would do is known before
anything runs: stages of equal configuration and equal upstream stages have equal keys, and are run once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from radlet.core.config import Config, StageConfig, load_config
from radlet.core.errors import ConfigError, RadletError
from radlet.core.registry import nearest
from radlet.core.runs import sha256_text
from radlet.stages.pipeline import REMOVABLE, UNTRAINED, WIRING, recipe_config, recipe_wiring, split_overrides

DEFAULT = "default"
"""The cell of the recipe as it is."""
_WITHOUT = "without"
_LAST = "evaluate"


class GridConfig(Config):
    """Axes of changes, and how to combine them."""

    recipe: Path | None = None
    """Recipe folder that it is made for, seen from the grid's own folder; `radlet check` checks it over that one."""
    mode: Literal["one_at_a_time", "grid"] = "one_at_a_time"
    """Each setting against the recipe as it is, or every combination of settings."""
    seeds: tuple[int, ...] = ()
    """Every cell is trained once with each; none: with the seeds of the recipes."""
    seeded: tuple[Literal["pretrain", "align", "finetune"], ...] = ("pretrain", "align", "finetune")
    """The stages that `seeds` reach; data, splits and the reports judged stay the same."""
    without: tuple[str, ...] = ()
    """Stages that every cell does without; an axis may hold such a list too."""
    overrides: dict[str, Any] = {}
    """Laid over the recipes in every cell: ``"pretrain.loop.epochs" = 2``."""
    metrics: tuple[str, ...] = ()
    """Metrics of the tables, the first heads them; none: those of the task."""
    num_resamples: int = Field(default=1000, ge=1)
    """Bootstrap resamples of the patients, and swaps of the paired test."""
    axes: dict[str, list[Any] | dict[str, Any]] = Field(min_length=1)
    """Axis -> settings. Named by a key, ``"finetune.tuning.kind" = ["full", "lora"]``, an axis lists its values; else
    it is a table of named settings, each a table of overrides: ``small = { "pretrain.encoder.widths" = [16, 32] }``."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("one seed stands twice, and would count as two")
        return value


@dataclass(frozen=True)
class Change:
    """One setting of an axis: overrides, and stages to do without."""

    overrides: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One run of the pipeline.

    Attributes:
        variant: The settings that differ from the recipe, as a name.
        settings: Axis -> setting.
        seed: The seed of the trained stages, where the grid sets it.
        by_recipe: Overrides by recipe.
        wiring: Recipe -> field -> recipe whose run it takes, in the order of work.
        keys: Recipe -> what it would do; equal keys, equal runs.
    """

    variant: str
    settings: Mapping[str, str]
    seed: int | None
    by_recipe: dict[str, list[str]]
    wiring: Mapping[str, Mapping[str, str]]
    keys: Mapping[str, str]

    @property
    def name(self) -> str:
        """The variant, and the seed where the grid sets it."""
        return self.variant if self.seed is None else f"{self.variant}, seed {self.seed}"

    def config(self, recipe: str, recipe_dir: Path, out: Path, done: Mapping[str, Path]) -> StageConfig:
        """Return the resolved configuration of a stage whose upstream runs are done."""
        given = {field: done[source] for field, source in self.wiring[recipe].items()}
        return recipe_config(recipe, recipe_dir, out, self.by_recipe, given)


@dataclass(frozen=True)
class Grid:
    """The cells of a grid over a recipe folder.

    Attributes:
        config: The file.
        axes: Axis -> its settings, in order.
        default: Axis -> the setting that the recipe has; None where the axis lists it not.
        cells: In the order of work, those of the recipe as it is first.
    """

    config: GridConfig
    axes: Mapping[str, tuple[str, ...]]
    default: Mapping[str, str | None]
    cells: tuple[Cell, ...]

    @property
    def num_stages(self) -> int:
        """Stages of all cells."""
        return sum(len(cell.keys) for cell in self.cells)

    @property
    def num_runs(self) -> int:
        """Stages that are run, as the others are shared."""
        return len({key for cell in self.cells for key in cell.keys.values()})


def read_grid(path: Path, recipe_dir: Path, out: Path, overrides: Sequence[str] = ()) -> Grid:
    """Read a grid and resolve every configuration of every cell.

    Args:
        path: The grid's TOML file.
        recipe_dir: The recipe folder that it varies.
        out: Folder whose ``runs/`` the cells share.
        overrides: As of `radlet run`; laid over every cell, above those of the grid and below its axes.

    Raises:
        ConfigError: The grid or a recipe is wrong; the message has one line for each setting that is.
    """
    config = load_config(GridConfig, path)
    _check_metrics(config.metrics)
    axes = {axis: dict(_changes(path, axis, settings)) for axis, settings in config.axes.items()}
    base = Change((*_as_overrides(config.overrides), *overrides), config.without)
    maker = _CellMaker(config, recipe_dir, out, base)
    _check_each(maker, path, axes)
    default = maker.cell(DEFAULT, {}, [], _first(config.seeds))
    own = {
        axis: next((name for name, one in settings.items() if maker.makes_same(default, one)), None)
        for axis, settings in axes.items()
    }
    variants = [{axis: name for axis, name in own.items() if name is not None}, *_combinations(config.mode, axes, own)]
    cells: dict[tuple[str, int | None], Cell] = {}
    for variant in variants:
        # The recipe's own settings change nothing alone, but could undo what another axis changes.
        changes = [axes[axis][name] for axis, name in variant.items() if name != own[axis]]
        name = ", ".join(f"{axis}={one}" for axis, one in variant.items() if one != own[axis]) or DEFAULT
        for seed in config.seeds or (None,):
            cell = maker.cell(name, variant, changes, seed)
            cells.setdefault((cell.keys[_LAST], seed), cell)
    return Grid(config, {axis: tuple(settings) for axis, settings in axes.items()}, own, tuple(cells.values()))


class _CellMaker:
    """Resolves cells of one recipe folder."""

    def __init__(self, config: GridConfig, recipe_dir: Path, out: Path, base: Change) -> None:
        self._config, self._recipe_dir, self._out, self._base = config, recipe_dir, out, base

    def cell(self, variant: str, settings: Mapping[str, str], changes: Sequence[Change], seed: int | None) -> Cell:
        """Resolve one cell; a later change wins over an earlier one."""
        every = [self._base, *changes]
        without = {recipe for change in every for recipe in change.without}
        overrides = [override for change in every for override in change.overrides]
        if seed is not None:
            overrides += [f"{stage}.seed={seed}" for stage in self._config.seeded]
        overrides += [f"{stage}.{UNTRAINED[stage]}.max_steps=0" for stage in sorted(without & set(UNTRAINED))]
        by_recipe = split_overrides(overrides)
        wiring = recipe_wiring(self._recipe_dir, by_recipe, without)
        return Cell(variant, dict(settings), seed, by_recipe, wiring, self._keys(by_recipe, wiring))

    def makes_same(self, default: Cell, change: Change) -> bool:
        """Tell whether a setting leaves the recipe as it is."""
        return self.cell(DEFAULT, {}, [change], default.seed).keys[_LAST] == default.keys[_LAST]

    def _keys(self, by_recipe: dict[str, list[str]], wiring: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        keys: dict[str, str] = {}
        for recipe, fields in wiring.items():
            given = {field: Path(source) for field, source in fields.items()}
            config = recipe_config(recipe, self._recipe_dir, self._out, by_recipe, given)
            # A folder that an override names is no upstream stage of the cell, and counts by its path.
            upstream = {field: keys[fields[field]] for field in fields if getattr(config, field) == given[field]}
            identity = config.model_dump(mode="json", exclude={*config.without_effect, *upstream} - {"name"})
            keys[recipe] = sha256_text(json.dumps([recipe.partition("-")[0], identity, upstream], sort_keys=True))
        return keys


def _changes(path: Path, axis: str, settings: list[Any] | dict[str, Any]) -> Iterator[tuple[str, Change]]:
    """Yield the settings of an axis by name.

    Raises:
        ConfigError: It has none, or one is no table of dotted keys.
    """
    if not settings:
        raise ConfigError(f"{path}: the axis '{axis}' has no setting.")
    if isinstance(settings, list):
        for value in settings:
            yield _setting_name(value), Change(_as_overrides({axis: value}))
        return
    for name, table in settings.items():
        keys = table if isinstance(table, dict) else [name]
        if any("." not in key for key in keys if key != _WITHOUT):
            raise ConfigError(
                f"{path}: the keys of {axis}.{name} are not of the form stage.key. Write a dotted key in quotes: "
                '"finetune.tuning.kind" = …'
            )
        without = table.get(_WITHOUT, [])
        if not isinstance(without, list) or not all(isinstance(recipe, str) for recipe in without):
            raise ConfigError(f"{path}: {axis}.{name}: 'without' is a list of stages: without = [\"align\"].")
        overrides = {key: value for key, value in table.items() if key != _WITHOUT}
        yield name, Change(_as_overrides(overrides), tuple(without))


def _check_each(maker: _CellMaker, path: Path, axes: Mapping[str, Mapping[str, Change]]) -> None:
    """Resolve the recipe as it is, then every setting alone, so that all that is wrong is said at once."""
    faults = []
    settings = [(f"{axis}={name}", [change]) for axis, one in axes.items() for name, change in one.items()]
    for name, changes in [(DEFAULT, []), *settings]:
        try:
            for change in changes:
                _check_without(change.without)
            maker.cell(name, {}, changes, None)
        except RadletError as error:
            faults.append(f"{path}, {name}: {error}")
            if name == DEFAULT:  # every cell would tell the same
                break
    if faults:
        raise ConfigError("\n".join(faults))


def _check_metrics(names: Sequence[str]) -> None:
    from radlet.evaluation.scoring import weight_free_measures

    known = weight_free_measures()
    for name in names:
        if name not in known:
            raise ConfigError(f"'metrics' names '{name}', which is none that runs no model.{nearest(name, known)}")


def _check_without(without: Sequence[str]) -> None:
    allowed = sorted({*REMOVABLE, *UNTRAINED})
    for recipe in without:
        if recipe not in allowed:
            why = "needed by every cell" if recipe in WIRING else "no stage"
            raise ConfigError(f"'without' names '{recipe}', which is {why}.{nearest(recipe, allowed)}")


def _combinations(
    mode: str, axes: Mapping[str, Mapping[str, Change]], own: Mapping[str, str | None]
) -> Iterator[dict[str, str]]:
    if mode == "grid":
        yield from (dict(zip(axes, names, strict=True)) for names in product(*axes.values()))
        return
    recipe = {axis: name for axis, name in own.items() if name is not None}
    for axis, settings in axes.items():
        yield from (recipe | {axis: name} for name in settings)


def _as_overrides(table: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={_toml(value)}" for key, value in table.items())


def _setting_name(value: Any) -> str:
    return value if isinstance(value, str) else _toml(value)


def _toml(value: Any) -> str:
    """Write a value as TOML, which overrides are read as."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _first(seeds: Sequence[int]) -> int | None:
    return seeds[0] if seeds else None
