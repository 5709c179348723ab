"""What a frozen encoder sees on films, kept on disk: the encoder runs once a film, whatever reads it and how often.

    runs/cache/film_features/<encoder>/  <films>.safetensors ...   .lock

The folder is named by everything that the numbers depend on beside the film: the encoder's weights, the layer read, the
image path, precision and device. Each file holds some films under the digests of their bytes, with a checksum of each
film's features that is verified once a run; it is written whole or not at all, and is mapped into memory rather than
read, so that the set need not fit there. Align, finetune and later runs
share it; a process that needs films another one is encoding waits for it. Deleting the folder loses time only.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.locks import lock_file
from radlet.core.runs import sha256_file
from radlet.models.report_model import ReportModel

Encode = Callable[[Sequence[str]], torch.Tensor]
"""From paths of films to what the projector reads of them, (B, N, D)."""


_DAMAGED = (OSError, SafetensorError, ValueError, KeyError, TypeError)
"""What reading a damaged file raises."""


class FeatureCacheConfig(Config):
    """Where what a frozen encoder sees is kept, and how much of it."""

    dir: Path | None = None
    """Folder shared by every run that names it; by default `cache` in the folder of the runs."""
    max_gb: float = Field(default=50.0, ge=0)
    """Largest size of the folder. The encoders unused for longest make room; where that is not enough, films are
    encoded at every step. 0 keeps nothing."""


class FilmFeatures:
    """Look up, by path, what a frozen encoder sees on a film; each film is encoded once for all runs.

    Args:
        folder: Of this encoder under these settings, as `features_key` names it.
        digests: Of every film that will be asked for, by path, as `digest_films` finds them.
        encode: Encodes films that no file holds yet.
        progress: Shown while encoding; told of files that were damaged.
        verify: Hold what is asked for against its checksums; another object of this run has, where it is off.

    Raises:
        OSError: The folder cannot be written.
        SafetensorError: The same, as on a full disk.
    """

    BATCH_SIZE = 64
    FILMS_PER_FILE = 1024

    def __init__(
        self, folder: Path, digests: Mapping[str, str], encode: Encode, progress: Progress, verify: bool = True
    ) -> None:
        self._digests = digests
        self._files: list[safe_open] = []
        self._slices: list[object] = []
        self._place: dict[str, tuple[int, int]] = {}
        self._folder = folder
        with _locked(folder):
            wanted = set(digests.values()) if verify else set()
            damaged = [file for file in sorted(folder.glob("*.safetensors")) if not self._open(file, wanted)]
            if damaged:
                progress.console.print(
                    f"  {len(damaged)} damaged files of kept features: their films are encoded again"
                )
            missing = {digest: path for path, digest in self._digests.items() if digest not in self._place}
            self.num_encoded, self.num_found = len(missing), len(set(self._digests.values())) - len(missing)
            self._encode(missing, encode, progress)
        os.utime(folder)  # used now: the last to make room

    def of(self, paths: Sequence[str]) -> torch.Tensor:
        """Return the features (B, N, D).

        Raises:
            DataError: A film was not announced.
        """
        unknown = [path for path in paths if path not in self._digests]
        if unknown:
            raise DataError(f"{len(unknown)} films were not loaded; the first is in {Path(unknown[0]).parent}.")
        places = [self._place[self._digests[path]] for path in paths]
        return torch.stack([self._slices[file][row] for file, row in places])  # type: ignore[index]

    def _encode(self, missing: dict[str, str], encode: Encode, progress: Progress) -> None:
        digests, kept, names = list(missing), [], []
        starts = range(0, len(digests), self.BATCH_SIZE)
        for start in progress.track(starts, "encoding", len(starts)):
            batch = digests[start : start + self.BATCH_SIZE]
            kept.append(encode([missing[digest] for digest in batch]).cpu())
            names += batch
            if len(names) >= self.FILMS_PER_FILE or start + self.BATCH_SIZE >= len(digests):
                self._write(names, torch.cat(kept))
                kept, names = [], []

    def _write(self, digests: list[str], features: torch.Tensor) -> None:
        file = self._folder / f"{hashlib.sha256(''.join(digests).encode()).hexdigest()[:24]}.safetensors"
        temporary = file.with_suffix(".tmp")
        try:
            told = {"films": json.dumps(digests), "crc32": json.dumps([_checksum(row) for row in features])}
            save_file({"features": features.contiguous()}, temporary, told)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)  # of a full disk
        self._open(file, set())

    def _open(self, file: Path, wanted: set[str]) -> bool:
        """Take a file's films; one that cannot be read, or holds other numbers for a wanted film, is deleted."""
        try:
            opened = safe_open(file, "pt")
            digests = _films_of(opened)
            rows = opened.get_slice("features")  # type: ignore[no-untyped-call]
            sums: list[int] = json.loads(opened.metadata()["crc32"])  # type: ignore[no-untyped-call]
            asked = [row for row, digest in enumerate(digests) if digest in wanted]
            with ThreadPoolExecutor() as pool:
                sound = all(pool.map(lambda row: _checksum(rows[row]) == sums[row], asked))
        except _DAMAGED:
            sound = False
        if not sound:
            file.unlink(missing_ok=True)  # damaged from outside; its films are encoded again
            return False
        for row, digest in enumerate(digests):
            self._place[digest] = (len(self._files), row)
        self._files.append(opened)
        self._slices.append(rows)
        return True


def _checksum(features: torch.Tensor) -> int:
    """Return the CRC-32 of one film's features: it tells a flipped bit, and costs about what reading does."""
    return zlib.crc32(features.contiguous().view(torch.uint8).numpy().data)


def _films_of(opened: safe_open) -> list[str]:
    films: list[str] = json.loads(opened.metadata()["films"])  # type: ignore[no-untyped-call]
    return films


def films_held(folder: Path) -> set[str]:
    """Return the digests of the films whose features a folder holds; it need not exist."""
    held: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with suppress(*_DAMAGED), safe_open(file, "pt") as opened:
            held.update(_films_of(opened))
    return held


def digest_films(paths: Sequence[str]) -> dict[str, str]:
    """Return the digest of every film's bytes, by path."""
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor() as pool:
        return dict(zip(unique, pool.map(sha256_file, map(Path, unique)), strict=True))


def features_key(report_model: ReportModel, precision: str, device: torch.device) -> str:
    """Return the digest of all that a film's features depend on beside the film: weights, layer, image path, precision.

    Args:
        report_model: Whose encoder sees the films.
        precision: In which the encoder computes.
        device: On which it does; another kind of processor rounds otherwise.
    """
    config = report_model.model.config
    told = [report_model.card.image_digest, precision, device.type, torch.__version__, config.model_type]
    told += [str(getattr(config, name, None)) for name in ("vision_feature_layer", "vision_feature_select_strategy")]
    digest = hashlib.sha256(json.dumps(told).encode())
    encoder = report_model.architecture.encoder(report_model.model)
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:24]


def make_room(root: Path, keep: str, num_bytes: int, max_bytes: float) -> bool:
    """Delete what other encoders saw, longest unused first, until `num_bytes` more fit; say whether they do.

    Args:
        root: Folder of every encoder's folder.
        keep: Name of the folder that stays.
        num_bytes: About to be written.
        max_bytes: Largest size of `root` afterwards.

    Raises:
        OSError: The folder cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    sizes = {folder: _size(folder) for folder in root.iterdir() if folder.is_dir()}
    if sizes.get(root / keep, 0) + num_bytes > max_bytes:
        return False
    for folder in sorted((f for f in sizes if f.name != keep), key=_used):
        if sum(sizes.values()) + num_bytes <= max_bytes:
            break
        with _lock_of(folder, wait=False) as ours:
            if ours:  # nobody writes there; who reads there keeps the maps, for a deleted file lives until it is closed
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]
    return sum(sizes.values()) + num_bytes <= max_bytes


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process made room
        return 0.0


@contextmanager
def _lock_of(folder: Path, wait: bool) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        yield lock_file(lock.fileno(), wait)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    while True:
        with _lock_of(folder, wait=True):
            if not (folder / ".lock").exists():
                continue  # while this process waited, another one deleted the folder to make room
            for file in folder.glob("*.tmp"):  # of a process that was killed: nobody else writes under this lock
                file.unlink()
            yield
            return
