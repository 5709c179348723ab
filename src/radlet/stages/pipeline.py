"""`radlet run` and `radlet demo`: every stage of a recipe folder, each fed with the run directories before it."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import radlet
from radlet.core.config import StageConfig, load_config
from radlet.core.errors import ConfigError
from radlet.core.registry import nearest
from radlet.stages.check import stage_config
from radlet.stages.together import run_together

if TYPE_CHECKING:
    from rich.console import Console

# Recipe -> (configuration field -> recipe whose run directory it takes). The order is the order of work.
WIRING: dict[str, dict[str, str]] = {
    "ingest": {},
    "quality": {"ingest": "ingest"},
    "structure": {"ingest": "ingest"},
    "build": {"ingest": "ingest", "quality": "quality", "structure": "structure"},
    "pretrain": {"examples": "build"},
    "align": {"examples": "build", "encoder": "pretrain"},
    "finetune": {"examples": "build", "checkpoint": "align"},
    "finetune-no_image": {"examples": "build", "checkpoint": "align"},
    "evaluate": {
        "examples": "build",
        "encoder": "pretrain",
        "checkpoint": "finetune",
        "no_image_checkpoint": "finetune-no_image",
    },
}

OPTIONAL = frozenset({"quality", "structure"})
"""Recipes that a folder may do without; what would take their runs then does without them."""

UNTRAINED = {"pretrain": "loop", "align": "training.loop", "finetune": "training.loop"}
"""Stage that cannot be left out, as others need its model, but can be left untrained -> its table of the loop."""

REMOVABLE = OPTIONAL | {"finetune-no_image"}
"""Recipes whose runs others can do without."""

_COPIES = ("scorecard.json", "scorecard.html")
_LINKS = {"checkpoint": "finetune", "encoder": "pretrain"}
"""Link in the output folder -> recipe to whose checkpoint it leads."""


def run_recipes(
    recipe_dir: Path, out: Path, overrides: Sequence[str] = (), console: "Console | None" = None
) -> dict[str, Path]:
    """Run every stage of a recipe folder and return the run directory of each recipe.

    `out` then holds ``runs/``, ``scorecard.json``, ``scorecard.html``, and links ``checkpoint`` and ``encoder``.

    Args:
        recipe_dir: Folder with one TOML file for each entry of `WIRING`; those of `OPTIONAL` may be left out, and so
            may ``finetune-no_image``, which is then ``finetune`` with ``films = "none"``.
        out: Folder for everything that is made.
        overrides: ``finetune.training.loop.epochs=2``: recipe, then the key in it.
        console: Where to say what is going on.

    Raises:
        ConfigError: A recipe is missing or wrong, an override names no recipe, or something in `out` is in the way.
    """
    by_recipe = split_overrides(overrides)
    _check_free(out)
    wiring = recipe_wiring(recipe_dir, by_recipe)
    for recipe, fields in wiring.items():  # a slip in the last recipe should not show after an hour of work
        recipe_config(recipe, recipe_dir, out, by_recipe, {field: Path(source) for field, source in fields.items()})
    done: dict[str, Path] = {}
    while ready := [recipe for recipe in wiring if recipe not in done and set(wiring[recipe].values()) <= set(done)]:
        given = {recipe: {field: done[source] for field, source in wiring[recipe].items()} for recipe in ready}
        configs = {recipe: recipe_config(recipe, recipe_dir, out, by_recipe, given[recipe]) for recipe in ready}
        done |= run_together({r: (r.partition("-")[0], config) for r, config in configs.items()}, console)
    for name in _COPIES:
        shutil.copyfile(done["evaluate"] / name, out / name)
    for name, recipe in _LINKS.items():
        _link(out / name, done[recipe] / "checkpoint")
    return done


def shipped_recipes(name: str) -> Path:
    """Return a recipe folder that comes with radlet, from the installed package or the source tree."""
    package = Path(radlet.__file__).parent
    installed = package / "recipes" / name
    return installed if installed.is_dir() else package.parent.parent / "recipes" / name


def split_overrides(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Sort overrides by the recipe that they begin with.

    Raises:
        ConfigError: One begins with no recipe.
    """
    by_recipe: dict[str, list[str]] = {recipe: [] for recipe in WIRING}
    for override in overrides:
        recipe, dot, rest = override.partition(".")
        if recipe not in by_recipe or not dot:
            raise ConfigError(f"Override '{override}': '{recipe}' is no recipe.{nearest(recipe, list(WIRING))}")
        by_recipe[recipe].append(rest)
    return by_recipe


def recipe_wiring(
    recipe_dir: Path, by_recipe: dict[str, list[str]], without: Collection[str] = ()
) -> dict[str, dict[str, str]]:
    """Return the part of `WIRING` for which the folder has recipes, less those of `REMOVABLE` to do `without`.

    Raises:
        ConfigError: An override names an optional recipe that is not there.
    """
    absent = {recipe for recipe in OPTIONAL if not (recipe_dir / f"{recipe}.toml").is_file()}
    for recipe in sorted(absent):
        if by_recipe[recipe]:
            raise ConfigError(f"Override '{recipe}.{by_recipe[recipe][0]}': {recipe_dir} has no {recipe}.toml.")
    absent |= REMOVABLE & set(without)
    return {
        recipe: {field: source for field, source in fields.items() if source not in absent}
        for recipe, fields in WIRING.items()
        if recipe not in absent
    }


def recipe_config(
    recipe: str, recipe_dir: Path, out: Path, by_recipe: dict[str, list[str]], given: dict[str, Path]
) -> StageConfig:
    """Return the resolved configuration of one recipe of the folder.

    Args:
        recipe: An entry of `WIRING`.
        recipe_dir: Folder of the recipes.
        out: Folder whose ``runs/`` it works in.
        by_recipe: Overrides as `split_overrides` returns them.
        given: Configuration field -> upstream run directory.

    Raises:
        ConfigError: The recipe is missing or wrong.
    """
    stage, _, variant = recipe.partition("-")
    cls = stage_config(stage)
    file = recipe_dir / f"{recipe}.toml"
    implied: dict[str, object] = {}
    overrides = by_recipe[recipe]
    if variant and not file.is_file():
        file = recipe_dir / f"{stage}.toml"
        implied = {"films": "none", "name": f"{variant}"}
        overrides = by_recipe[stage] + overrides  # the baseline is the same recipe, with what was changed in it
    if cls is None or not file.is_file():
        raise ConfigError(f"{recipe_dir}: has no {file.name}. A recipe folder holds one file for each stage.")
    return load_config(cls, file, overrides, runs_dir=out / "runs", **implied, **given)


def _check_free(out: Path) -> None:
    """Refuse what the end of the work could not replace, before the work starts."""
    in_the_way = [out / name for name in _LINKS if (out / name).exists() and not (out / name).is_symlink()]
    in_the_way += [out / name for name in _COPIES if (out / name).is_dir()]
    if in_the_way:
        names = ", ".join(map(str, in_the_way))
        raise ConfigError(f"{names}: in the way of what is made there. Move it away, or give another folder.")


def _link(link: Path, target: Path) -> None:
    """Point `link` at `target`, relative, so that the folder can be moved."""
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve().relative_to(link.parent.resolve()), target_is_directory=True)
