"""Find the weights of metrics that run a model, load each family once, and keep what it computed.

A pair of texts is read once, however many systems wrote it and however many metrics ask for it.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Self, TypeVar

from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.core.registry import nearest
from radlet.core.runs import sha256_file, sha256_text
from radlet.evaluation.scorers.base import ModelMetric, Pair, PairScorer, ScorerSettings, Values, Weights
from radlet.metrics import METRICS

T = TypeVar("T")


class Scorers:
    """The models of one evaluation; a context that closes them.

    Args:
        weights_dir: Folder that holds one folder a family of weights; None where no such metric is wanted.
        settings: How they are run.
        progress: Where to show how far they are.

    Raises:
        ConfigError: The folder does not exist, or a Python given for a family does not.
    """

    def __init__(
        self, weights_dir: Path | None, settings: ScorerSettings | None = None, progress: Progress | None = None
    ) -> None:
        if weights_dir is not None and not weights_dir.is_dir():
            raise ConfigError(f"{weights_dir}: is no folder. Give the one that holds the weights of metrics.")
        self._dir, self._settings = weights_dir, settings or ScorerSettings()
        self._progress = progress or Progress(quiet=True)
        self._open: dict[str, PairScorer] = {}
        self._known: dict[str, dict[Pair, Values]] = {}
        self._lacks: dict[str, str | None] = {}
        self._used: set[str] = set()
        self._check_pythons()

    @cached_property
    def names(self) -> list[str]:
        """The metrics to compute: those asked for, else all that can be.

        Raises:
            ConfigError: One that was asked for cannot be computed, or the folder holds the weights of none.
            UnknownNameError: No metric has a name that was asked for.
        """
        if self._settings.metrics is not None:
            for name in self._settings.metrics:
                self._check_asked(name)
            return list(self._settings.metrics)
        if self._dir is None:
            return []
        ready = [name for name, metric in model_metrics() if not metric.lack(self)]
        self._tell_of_idle_weights()
        if not ready:
            raise ConfigError(
                f"{self._dir}: holds the weights of no metric that can be run. See what is lacking: "
                f"radlet metrics --weights {self._dir}"
            )
        return ready

    def metric(self, name: str) -> ModelMetric:
        """Return a metric with its weights.

        Raises:
            ConfigError: They are not there, or their package is not; the message says what to do.
        """
        metric: ModelMetric = METRICS[name]
        lack = metric.lack(self)
        if lack:
            raise ConfigError(f"'{name}' runs a model that is not ready: {lack}.")
        self._used.update(weights.family for weights in metric.weights)
        return metric.load(self)

    def folder(self, weights: Weights) -> Path:
        """Return where the weights of a family are, or should be."""
        return (self._dir or Path("WEIGHTS")) / weights.family

    def lack(self, weights: Weights) -> str | None:
        """Tell what to do before a family can be used; None where it can."""
        if weights.family not in self._lacks:
            self._lacks[weights.family] = self._find_lack(weights)
        return self._lacks[weights.family]

    def _opened(self, weights: Weights) -> PairScorer:
        """Return the scorer of a family, loaded once.

        Raises:
            CheckpointError: The files are not what they should be.
        """
        if weights.family not in self._open:
            self._open[weights.family] = weights.open(self.folder(weights), self._settings)
        return self._open[weights.family]

    def values(self, weights: Weights, pairs: Sequence[Pair]) -> list[Values]:
        """Return the values of every pair, each different pair read once; all are 0 where a text has no word."""
        known = self._known.setdefault(weights.family, {})
        # Texts of like length together, so that little of a batch is padding; always in the same order.
        fresh = sorted({pair for pair in pairs if pair not in known}, key=lambda pair: (sum(map(len, pair)), pair))
        known |= {pair: dict.fromkeys(weights.keys, 0.0) for pair in fresh if not all(text.strip() for text in pair)}
        asked = [pair for pair in fresh if pair not in known]
        for batch in self._batches(asked, weights):
            found = self._opened(weights).score(batch)
            known |= {pair: _checked(weights, values) for pair, values in zip(batch, found, strict=True)}
        return [known[pair] for pair in pairs]

    def _batches(self, items: Sequence[T], weights: Weights) -> Iterator[Sequence[T]]:
        """Yield the items in batches, showing how far a family is."""
        size = self._settings.batch_size
        starts = range(0, len(items), size)
        for start in self._progress.track(starts, weights.family, len(starts)):
            yield items[start : start + size]

    def digests(self) -> dict[str, str]:
        """Return the digest of the files of every family that a metric was loaded from."""
        return {family: _digest((self._dir or Path()) / family) for family in sorted(self._used)}

    def close(self) -> None:
        """Close every scorer."""
        for scorer in self._open.values():
            scorer.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _find_lack(self, weights: Weights) -> str | None:
        folder = self.folder(weights)
        if self._dir is None:
            return f"place {weights.place} at {folder} and give {folder.parent} (--weights, or weights_dir)"
        if not self._has_files(weights):
            return f"place {weights.place} at {folder}; it holds no {' and no '.join(self._absent(weights))}"
        python = self._settings.python.get(weights.family) if weights.apart else None
        if not _has_module(weights.modules, python):
            where = f" for {python}" if python else ""
            apart = f", or name a Python that has it: {weights.family}=PATH" if weights.apart and not python else ""
            return f"install {weights.install}{where}{apart}"
        return None

    def _has_files(self, weights: Weights) -> bool:
        return not self._absent(weights)

    def _absent(self, weights: Weights) -> list[str]:
        folder = self.folder(weights)
        return [pattern for pattern in weights.files if not any(folder.glob(pattern))]

    def _check_asked(self, name: str) -> None:
        metric = METRICS[name]
        if not isinstance(metric, ModelMetric):
            raise ConfigError(f"'{name}' runs no model.{nearest(name, [known for known, _ in model_metrics()])}")
        self.metric(name)

    def _check_pythons(self) -> None:
        families = sorted(
            {weights.family for _, metric in model_metrics() for weights in metric.weights if weights.apart}
        )
        for family, python in self._settings.python.items():
            if family not in families:
                raise ConfigError(
                    f"'{family}' has no package that runs in a Python of its own.{nearest(family, families)}"
                )
            if not python.is_file():
                raise ConfigError(f"{python}: is no file. Give the Python that has the package of '{family}'.")

    def _tell_of_idle_weights(self) -> None:
        """Say which weights lie there in vain, for a person who placed them expects a score."""
        every = {weights.family: weights for _, metric in model_metrics() for weights in metric.weights}
        for family, weights in every.items():
            if self._has_files(weights) and (lack := self.lack(weights)):
                self._progress.console.print(f"  {family}: not used; {lack}", soft_wrap=True)


def model_metrics() -> Iterator[tuple[str, ModelMetric]]:
    """Yield the metrics of the registry that run a model."""
    for name in METRICS:
        metric = METRICS[name]
        if isinstance(metric, ModelMetric):
            yield name, metric


def text_metrics() -> list[str]:
    """Return the names of the metrics that run none."""
    return [name for name in METRICS if not isinstance(METRICS[name], ModelMetric)]


def weights_lineage(scorers: Scorers | None) -> dict[str, dict[str, str]]:
    """Return what a scorecard's lineage says of weights: ``weights -> family -> digest``, or nothing."""
    digests = scorers.digests() if scorers else {}
    return {"weights": digests} if digests else {}


def _checked(weights: Weights, values: Values) -> Values:
    """Return values in which every number is there; a part of them is none."""
    if isinstance(values, str):
        return values
    numbers = (values.get(key) for key in weights.keys)
    whole = all(isinstance(number, int | float) and isfinite(number) for number in numbers)
    return values if whole else "the model gave no number"


def _has_module(modules: Sequence[str], python: Path | None) -> bool:
    if python is None or python == Path(sys.executable):
        return any(find_spec(module) for module in modules)
    question = f"import importlib.util as u, sys; sys.exit(not any(map(u.find_spec, {list(modules)!r})))"
    asked = subprocess.run([python, "-c", question], capture_output=True, check=False)
    return asked.returncode == 0


def listing_digest(folder: Path) -> str:
    """Return the digest of the names and sizes of all files of a folder, which is quick for any weights."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_text("".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in files))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()
