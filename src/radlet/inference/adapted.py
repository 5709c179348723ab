"""Drafting with adapters: one base model in memory, and for each request the adapter it asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock

from radlet.core.errors import UnknownNameError
from radlet.core.registry import nearest
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.models.adapters import AdapterSet
from radlet.models.devices import pick_device


class AdaptedDrafters:
    """Write drafts with several adapters over one base; the base is loaded once and switching copies nothing.

    Args:
        checkpoint: The base, a folder or the run that holds one.
        adapters: Folders of adapters, or runs that hold one, by name.

    Raises:
        CheckpointError: An adapter is broken, was trained over other weights, or needs the base in another form.
    """

    def __init__(self, checkpoint: Path, adapters: Mapping[str, Path]) -> None:
        self._set = AdapterSet(checkpoint, adapters)
        self._drafters = {name: Drafter(self._set.use(name)) for name in adapters}
        for drafter in self._drafters.values():
            drafter.report_model.model.to(pick_device())
        self._lock = RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that can be asked for."""
        return tuple(self._drafters)

    def drafter(self, name: str) -> Drafter:
        """Put an adapter into effect and return its drafter, good until another one is asked for.

        Raises:
            UnknownNameError: There is no such adapter.
        """
        if name not in self._drafters:
            raise UnknownNameError(f"No adapter is called '{name}'.{nearest(name, list(self._drafters))}")
        self._set.use(name)
        return self._drafters[name]

    def draft(
        self,
        requests: Sequence[DraftRequest],
        names: Sequence[str],
        sampling: Sampling | None = None,
        batch_size: int = 16,
    ) -> list[str]:
        """Return one draft for each request, written with the adapter named beside it; threads take turns.

        Raises:
            DataError: A film cannot be read.
            UnknownNameError: There is no such adapter.
            ValueError: There are not as many names as requests.
        """
        rows: dict[str, list[int]] = {}
        for row, (_, name) in enumerate(zip(requests, names, strict=True)):
            rows.setdefault(name, []).append(row)
        drafts = [""] * len(requests)
        for name, own in rows.items():
            with self._lock:
                written = self.drafter(name).draft([requests[row] for row in own], sampling, batch_size)
            for row, draft in zip(own, written, strict=True):
                drafts[row] = draft
        return drafts


def load_adapted(checkpoint: Path, adapter: Path) -> Drafter:
    """Load a checkpoint under one adapter.

    Raises:
        CheckpointError: The adapter is broken, or was trained over other weights.
    """
    return AdaptedDrafters(checkpoint, {"only": adapter}).drafter("only")
