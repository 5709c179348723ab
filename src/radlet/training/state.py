"""Training states on disk: weights, optimiser and position, written whole or not at all, in safetensors and JSON."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from radlet.core.errors import CheckpointError
from radlet.core.runs import Run, write_atomically
from radlet.training.sharding import DAMAGED, laid_as, read_tensors, whole_tensors, write_tensors
from radlet.training.world import ALONE, World

_FOLDER = "training_state"


def clear_states(run: Run) -> None:
    """Remove the states of a run whose stage has delivered its weights."""
    shutil.rmtree(run.path / _FOLDER, ignore_errors=True)


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands.

    Attributes:
        step: Optimiser steps done.
        best_step: Step of the best validation so far.
        best_value: Its value, higher being better; None before the first validation.
    """

    step: int = 0
    best_step: int = 0
    best_value: float | None = None

    def at(self, step: int) -> "TrainingState":
        """Return the state with another position."""
        return replace(self, step=step)

    def improved(self, value: float) -> "TrainingState":
        """Return the state after a validation better than all before."""
        return replace(self, best_step=self.step, best_value=value)


class StateStore:
    """Save and restore the training state of one run under its ``training_state`` folder."""

    def __init__(self, run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, everyone: World = ALONE) -> None:
        self._run, self._model, self._optimizer, self._world = run, model, optimizer, everyone
        self._folder = run.path / _FOLDER
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}

    def resume(self) -> TrainingState:
        """Load the newest complete state, if there is one, and drop the metrics logged after it.

        Raises:
            CheckpointError: The state is damaged, or of another model.
        """
        name = self._world.told(lambda: max((folder.name for folder in self._folder.glob("step-*")), default=None))
        state = TrainingState()
        if name is not None:
            with self._reading():
                state = TrainingState(**json.loads((self._folder / name / "state.json").read_bytes()))
                tensors = read_tensors(self._folder / name, self._like, self._world)
            self._load_weights({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
            self._load_optimizer(tensors)
        if self._world.leads:
            self._drop_metrics_after(state.step)
        return state

    def save(self, state: TrainingState) -> None:
        """Write the state; a reader sees it whole or sees the one before."""
        folder = self._folder / f"step-{state.step:08d}"
        temporary = self._folder / f"writing-{state.step:08d}"
        if self._world.leads:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self._world.wait()
        tensors = {f"model.{name}": tensor for name, tensor in self._weights().items()} | self._optimizer_tensors()
        write_tensors(tensors, temporary, self._world)
        self._world.wait()
        if not self._world.leads:
            return
        write_atomically(temporary / "state.json", json.dumps(asdict(state)))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        for older in self._folder.glob("step-*"):
            if older != folder:
                shutil.rmtree(older)

    def save_best(self) -> None:
        """Keep the present weights as the best ones, in one file."""
        weights = whole_tensors(self._weights(), self._world)
        if self._world.leads:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary = self._folder / "best.safetensors.tmp"
            save_file(weights, temporary)
            temporary.replace(self._folder / "best.safetensors")

    def load_best(self) -> None:
        """Put the best weights back into the model, which has to be whole.

        Raises:
            CheckpointError: They are damaged, or of another model.
        """
        with self._reading():
            weights = load_file(self._folder / "best.safetensors")
        self._load_weights(weights)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (*DAMAGED, OSError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self._folder}: the saved state is damaged ({type(error).__name__}). Remove the folder to restart."
            ) from None

    def _weights(self) -> dict[str, torch.Tensor]:
        trained = {name: p.detach() for name, p in self._model.named_parameters() if p.requires_grad}
        # Running statistics of normalisation layers move during training without being parameters.
        buffers = {name: buffer for name, buffer in self._model.named_buffers() if buffer is not None}
        return trained | buffers

    def _like(self, name: str) -> torch.Tensor | None:
        """Return the tensor that lies over the processes as the named one of a state does; None for a single number."""
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            key, _, rest = rest.partition(".")
            if key == "step":
                return None
        return (dict(self._model.named_parameters()) | dict(self._model.named_buffers())).get(rest)

    def _load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        own = dict(self._model.named_parameters()) | dict(self._model.named_buffers())
        if set(weights) != set(self._weights()):
            raise CheckpointError(f"{self._folder}: the saved state is of another model. Remove the folder to restart.")
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(laid_as(own[name], tensor))

    def _optimizer_tensors(self) -> dict[str, torch.Tensor]:
        return {
            f"optimizer.{key}.{self._names[id(parameter)]}": value
            for parameter, entries in self._optimizer.state.items()
            for key, value in entries.items()
        }

    def _load_optimizer(self, tensors: dict[str, torch.Tensor]) -> None:
        parameters = dict(self._model.named_parameters())
        for full_name, tensor in tensors.items():
            if full_name.startswith("optimizer."):
                _, key, name = full_name.split(".", 2)
                parameter = parameters[name]
                place = tensor if key == "step" else tensor.to(parameter.device)
                self._optimizer.state.setdefault(parameter, {})[key] = place

    def _drop_metrics_after(self, step: int) -> None:
        path: Path = self._run.path / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_bytes().split(b"\n"):
            try:
                text = line.decode()
                row = json.loads(text)
            except ValueError:
                continue  # the line being written when the run was killed, or what follows the last line
            if row.get("step", 0) <= step:
                kept.append(text)
        write_atomically(path, "".join(line + "\n" for line in kept))
