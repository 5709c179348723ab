"""An ablation's record: what every cell ran and gave, and the effect of each axis; the form of ``ablation.json``."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import ConfigDict, Field

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Record
from radlet.evaluation.compared_systems import System, align
from radlet.evaluation.comparison import ComparisonSettings, compare_systems
from radlet.evaluation.comparison_card import Comparison
from radlet.evaluation.scorecard import PairedResult
from radlet.metrics.resampling import holm

ABLATION_VERSION = 1


class StageRun(Record):
    """One stage of one cell."""

    recipe: str
    run: str
    """Stage and run directory's name."""
    seconds: float | None
    """Time of the attempt that finished it."""
    shared: bool
    """Whether an earlier cell had made it."""


class CellResult(Record):
    """One run of the pipeline."""

    variant: str
    settings: dict[str, str]
    """Axis -> setting."""
    seed: int | None = None
    state: Literal["finished", "failed", "waiting"]
    reason: str | None = None
    """Why it failed, or why its drafts cannot be held against those of the others."""
    stages: tuple[StageRun, ...] = ()


class Ablation(Record):
    """Every number of one ablation in the fixed form of ``ablation.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = ABLATION_VERSION
    recipe: str
    """Name of the recipe folder."""
    mode: Literal["one_at_a_time", "grid"]
    axes: dict[str, tuple[str, ...]]
    default: dict[str, str | None]
    """Axis -> setting of the recipe as it is; null where the axis does not list it."""
    cells: tuple[CellResult, ...]
    comparison: Comparison | None = None
    """The variants held against each other; null while none has finished."""
    effects: dict[str, dict[str, PairedResult]] = Field(default_factory=dict)
    """Axis -> setting -> its effect on the headline: that setting minus the recipe's own (of a grid: minus that, or the
    first, over all cells that differ in nothing else); p-values corrected for the number of effects."""

    @property
    def stage_seconds(self) -> dict[str, tuple[int, float]]:
        """Recipe -> how many runs of it there are, and their seconds together."""
        made = {stage.run: stage for cell in self.cells for stage in cell.stages}
        totals: dict[str, tuple[int, float]] = {}
        for stage in made.values():
            runs, seconds = totals.get(stage.recipe, (0, 0.0))
            totals[stage.recipe] = (runs + 1, seconds + (stage.seconds or 0.0))
        return totals


def comparable(systems: Sequence[System]) -> tuple[list[System], dict[str, str]]:
    """Part the systems that can be held against the first from those that cannot, with the reason of each."""
    kept, reasons = list(systems[:1]), {}
    for system in systems[1:]:
        try:
            align([systems[0], system])
        except DataError as error:
            reasons[system.name] = str(error)
        else:
            kept.append(system)
    return kept, reasons


def axis_effects(
    ablation: Ablation, comparison: Comparison, drafted: Mapping[str, System], settings: ComparisonSettings
) -> dict[str, dict[str, PairedResult]]:
    """Return the effect of every setting of every axis on the headline of the comparison.

    In a grid, the cells of a setting are pooled report by report, and held against the cells that differ from them in
    this axis alone.

    Args:
        ablation: The axes, and the settings of each cell.
        comparison: Of the variants.
        drafted: Variant -> its drafts, those that can be compared.
        settings: How to compare.
    """
    variants = {cell.variant: cell.settings for cell in ablation.cells if cell.variant in drafted}
    effects: dict[str, dict[str, PairedResult]] = {}
    for axis, names in ablation.axes.items():
        own = ablation.default[axis] or (names[0] if ablation.mode == "grid" else None)
        effects[axis] = {}
        for name in names:
            pairs = [pair for pair in _pairs(variants, axis, name, own) if name != own]
            if pairs:
                with_it, without_it = ([drafted[pair[i]] for pair in pairs] for i in (0, 1))
                result = _pooled(with_it, without_it, comparison.headline, settings)
                held_against = {"baseline": own or "the recipe"}
                effects[axis] |= {name: result.model_copy(update=held_against)} if result else {}
    return _corrected(effects)


def _corrected(effects: Mapping[str, Mapping[str, PairedResult]]) -> dict[str, dict[str, PairedResult]]:
    p_values = iter(holm([one.p_value for settings in effects.values() for one in settings.values()]))
    return {
        axis: {name: one.model_copy(update={"p_corrected": next(p_values)}) for name, one in settings.items()}
        for axis, settings in effects.items()
    }


def _pairs(variants: Mapping[str, Mapping[str, str]], axis: str, name: str, own: str | None) -> list[tuple[str, str]]:
    """Return the variants with a setting, each with the one that has the axis's own setting and is else the same."""
    others = {_key(settings, axis): variant for variant, settings in variants.items() if settings.get(axis) == own}
    with_it = {variant: _key(settings, axis) for variant, settings in variants.items() if settings.get(axis) == name}
    return [(variant, others[key]) for variant, key in with_it.items() if key in others]


def _key(settings: Mapping[str, str], axis: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((other, name) for other, name in settings.items() if other != axis))


def _pooled(
    first: Sequence[System], second: Sequence[System], metric: str, settings: ComparisonSettings
) -> PairedResult | None:
    pools = [
        System(
            name, tuple(rows for system in systems for rows in system.drafts), systems[0].scorecard, systems[0].run_dir
        )
        for name, systems in (("without", second), ("with", first))
    ]
    only = ComparisonSettings((metric,), settings.num_resamples, settings.interval, settings.seed)
    comparison = compare_systems(pools, align(pools), only, Progress(quiet=True))
    return comparison.metrics[metric].differences.get("with")
