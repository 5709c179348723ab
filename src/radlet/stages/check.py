"""`radlet check`: read recipes as their stages would, and say what is wrong before any work is done.

A recipe file is named after its stage (``finetune.toml``, or ``finetune-rank8.toml`` for a variant). Nothing is run and
no upstream run is looked for: a folder that the recipe leaves open is filled in by `radlet run` or on the command line.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import radlet.stages
from radlet.core.config import StageConfig, load_config, read_toml
from radlet.core.errors import ConfigError, RadletError
from radlet.core.registry import nearest


def stage_names() -> list[str]:
    """Return the names of the modules under `radlet.stages`, whether or not each has a recipe of its own."""
    return [module.name for module in pkgutil.iter_modules(radlet.stages.__path__)]


def stage_config(name: str) -> type[StageConfig] | None:
    """Return the configuration class that the stage's module defines, or None when it takes no recipe."""
    module = importlib.import_module(f"radlet.stages.{name}")
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if issubclass(cls, StageConfig) and cls.__module__ == module.__name__:
            return cls
    return None


def check_recipe(recipe: Path) -> StageConfig:
    """Validate one recipe file and return its resolved configuration.

    Raises:
        ConfigError: The file is not named after a stage, cannot be read, or holds a wrong key or value.
    """
    name = recipe.stem.partition("-")[0]
    cls = stage_config(name) if name in stage_names() else None
    if cls is None:
        stages = [stage for stage in stage_names() if stage_config(stage)]
        raise ConfigError(f"{recipe}: a recipe is named after its stage, and '{name}' is none.{nearest(name, stages)}")
    written = read_toml(recipe)
    open_folders = {
        key: Path(key)
        for key, field in cls.model_fields.items()
        if field.is_required() and field.annotation is Path and key not in written
    }
    return load_config(cls, recipe, [], **open_folders)


def check_grid(grid: Path, folders: Sequence[Path]) -> None:
    """Validate every cell of a grid over the recipe folder that it names, else over these.

    Raises:
        ConfigError: It is wrong, or there is no folder.
    """
    from radlet.stages.grid import GridConfig, read_grid  # which stands on this module

    named = load_config(GridConfig, grid).recipe
    if named is None and not folders:
        raise ConfigError(f"{grid}: which recipe folder does it vary? Set recipe, or give that folder too.")
    for folder in folders if named is None else [grid.parent / named]:
        read_grid(grid, folder, folder)


def check(recipes: Sequence[Path]) -> list[Path]:
    """Validate recipe files, and every recipe of the folders among them; return the files.

    A file with a table ``axes`` is the grid of an ablation, validated over the recipe folder that it varies.

    Raises:
        ConfigError: At least one is wrong; the message has one line for each.
    """
    files = [file for path in recipes for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    if not files:
        raise ConfigError("No recipe found. Give TOML files, or folders that hold some.")
    folders = [path for path in recipes if path.is_dir() and (path / "ingest.toml").is_file()]
    faults = []
    for file in files:
        try:
            if "axes" in read_toml(file):
                check_grid(file, folders)
            else:
                check_recipe(file)
        except RadletError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return files
