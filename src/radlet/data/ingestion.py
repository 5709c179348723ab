"""What one worker of `ingest` does: read a shard of the source, decode and store its films, keep a journal.

A journal has one line per item of the shard, written after its films. A worker that takes a shard up again skips what
the journal holds, so that nothing is done twice and the end is the same as of an uninterrupted run.
"""

import hashlib
import json
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radlet.core.errors import DataError
from radlet.core.locks import lock_file
from radlet.core.records import Finding, ImageRecord, Study, View
from radlet.data.burned_in import check_burned_in
from radlet.data.film import Film
from radlet.data.images import read_film
from radlet.data.journals import JOURNAL, append_line, recover_lines
from radlet.data.listing import read_piece
from radlet.data.pseudonyms import Pseudonyms, load_or_make_key
from radlet.data.sources import SOURCES
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.supervision import Poisoned

IMAGES, MASKS = "images", "masks"
_PNG_LEVEL = 1
"""Deflate effort: level 1 writes about five times faster than the default for a tenth more bytes."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of the source and where its results go.

    Attributes:
        source: The source's configuration, as JSON (which crosses to a spawned process whatever the class).
        key_file: File of the pseudonym key; None leaves the ids as they are.
        finder: File that links the pseudonyms of refused items to raw ids; None writes no such file.
        raw_ids: Whether refused items are listed under raw ids in spite of a key.
        listing: Piece of the source's listing that is this shard; None asks the source for shard `index`.
        check_text: Whether films with burned-in text are refused.
    """

    source: str
    seed: int
    index: int
    num_shards: int
    run_dir: Path
    key_file: Path | None
    finder: Path | None
    raw_ids: bool
    check_text: bool = False
    listing: Path | None = None

    @cached_property
    def key(self) -> bytes | None:
        """Pseudonym key, read by every worker for itself: it never travels."""
        return load_or_make_key(self.key_file, may_make=False) if self.key_file else None

    @property
    def journal(self) -> Path:
        """The journal of this shard."""
        return self.run_dir / JOURNAL / (self.listing.name if self.listing else f"{self.index:04d}.jsonl")

    def items(self) -> Iterator[RawStudy | Rejected]:
        """Yield the raw studies of this shard, and what the source refused."""
        if self.listing:
            yield from read_piece(self.listing)
        else:
            yield from read_source(self.source).studies(self.seed, self.index, self.num_shards)


@dataclass(frozen=True)
class Refusal:
    """An item that could not be used, under its raw id; `quarantined`: because it may tell who its patient is."""

    raw_id: str
    reason: str
    quarantined: bool = False


def ingest_shard(shard: Shard, poisoned: Poisoned) -> Iterator[str | None]:
    """Bring a shard into the run directory; yields as `supervision` asks. Films in `poisoned` are refused unread."""
    with shard.journal.open("ab+") as journal:
        # A worker whose parent was killed may still be at its last item.
        lock_file(journal.fileno(), wait=True)
        done = recover_journal(journal)
        for item in shard.items():
            if digest := next(done, None):
                check_same(shard, digest, item)
                continue
            study, refusals = None, []
            if isinstance(item, Rejected):
                refusals = [Refusal(item.item_id, item.reason)]
            else:
                study, refusals = yield from _ingest_study(shard, item, poisoned)
            write_line(shard, journal, item, study.model_dump(mode="json") if study else None, refusals)


def short_reason(reason: str) -> str:
    """Return the first clause of a reason with numbers left open, so that equal causes are counted together."""
    return re.sub(r"(?<!UTF-)\d+", "N", re.split(r"[:.;](?:\s|$)", reason, maxsplit=1)[0])


def read_source(source_json: str) -> Source:
    """Return the source of a configuration that was written as JSON."""
    kind = json.loads(source_json)["kind"]
    source: Source = SOURCES[kind].model_validate_json(source_json)
    return source


def recover_journal(journal: BinaryIO) -> Iterator[str]:
    """Yield the raw-item digests that the journal holds, and cut off a line that a kill left unfinished."""
    yield from (json.loads(line)["item"] for line in recover_lines(journal))


def check_same(shard: Shard, digest: str, item: RawStudy | Rejected) -> None:
    """Refuse to go on with raw data that are not those the journal tells of.

    Raises:
        DataError: The item is another one.
    """
    if digest != _digest(item):
        raise DataError(
            f"{shard.run_dir}: the raw data changed since this run began. Remove the folder and start it again."
        )


def _digest(item: RawStudy | Rejected) -> str:
    raw_id = item.item_id if isinstance(item, Rejected) else item.study.study_id
    return hashlib.sha256(raw_id.encode()).hexdigest()[:16]


def write_line(
    shard: Shard, journal: BinaryIO, item: RawStudy | Rejected, study: dict[str, Any] | None, refusals: list[Refusal]
) -> None:
    """Write what became of an item: ``study``, None when nothing is left of it, and what was refused."""
    ids = [_public_id(shard, refusal) for refusal in refusals]
    line = {
        "item": _digest(item),
        "study": study,
        "rejected": [_rejected_row(own, refusal) for own, refusal in zip(ids, refusals, strict=True)],
    }
    if shard.finder and refusals:
        _append_private(shard.finder, [{"id": own, "raw_id": r.raw_id} for own, r in zip(ids, refusals, strict=True)])
    append_line(journal, line)


def _rejected_row(own_id: str, refusal: Refusal) -> dict[str, Any]:
    return {"id": own_id, "reason": refusal.reason} | ({"quarantined": True} if refusal.quarantined else {})


def _public_id(shard: Shard, refusal: Refusal) -> str:
    if shard.key is None or shard.raw_ids:
        return refusal.raw_id
    return Pseudonyms(shard.key).of("image", refusal.raw_id)


def _append_private(path: Path, rows: list[dict[str, str]]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _ingest_study(
    shard: Shard, raw: RawStudy, poisoned: Poisoned
) -> Generator[str | None, None, tuple[Study | None, list[Refusal]]]:
    """Store the films and masks of one study; return it as the manifest holds it, or None if no film was usable."""
    refusals: list[Refusal] = []
    films: dict[str, ImageRecord] = {}
    own = Pseudonyms(shard.key).study(raw.study) if shard.key else raw.study
    for image, own_image in zip(raw.study.images, own.images, strict=True):
        if image.image_id in poisoned:
            refusals.append(Refusal(image.image_id, poisoned[image.image_id]))
            continue
        yield image.image_id
        film = _read(shard, raw, image)
        if isinstance(film, Refusal):
            refusals.append(film)
        else:
            films[image.image_id] = _store(shard, film, image.view, own_image)
        yield None
    if not raw.study.images:
        refusals.append(Refusal(raw.study.study_id, "the study has no film"))
    if not films:
        return None, refusals
    asked = [all(image_id in films for image_id in question.image_ids) for question in raw.study.questions]
    refusals += [
        Refusal(f"{raw.study.study_id}:q{number}", "a film that the question is about was refused")
        for number, kept in enumerate(asked, start=1)
        if not kept
    ]
    kept_parts = {
        "images": tuple(films.values()),
        "truth": _truth(shard, raw, own, films),
        "questions": tuple(question for question, kept in zip(own.questions, asked, strict=True) if kept),
    }
    return own.model_copy(update=kept_parts), refusals


def _read(shard: Shard, raw: RawStudy, image: ImageRecord) -> Film | Refusal:
    """Return a film, or why it is refused."""
    try:
        decode = raw.decoders.get(image.image_id)
        made = decode() if decode else raw.pixels.get(image.image_id)
        film = read_film(Path(image.path)) if made is None else Film(made)
        if shard.check_text:
            check_burned_in(film)
    except DataError as error:
        return Refusal(image.image_id, without_path(str(error), image.path))
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything; the film is refused by id
        return Refusal(image.image_id, f"the decoder failed ({type(error).__name__})")
    return film


def _store(shard: Shard, film: Film, view: View | None, own: ImageRecord) -> ImageRecord:
    """Write a film and return its row. A full disk is no fault of the film: it ends the run, which can go on later."""
    path = f"{IMAGES}/{_file_stem(own.image_id)}.png"
    _write_png(shard.run_dir / path, film.pixels)
    height_px, width_px = film.pixels.shape
    return own.model_copy(
        update={"path": path, "view": view or film.view, "height_px": height_px, "width_px": width_px}
    )


def _truth(shard: Shard, raw: RawStudy, own: Study, films: dict[str, ImageRecord]) -> tuple[Finding, ...] | None:
    """Return the findings with their masks stored, on the films that were kept."""
    if own.truth is None:
        return None
    kept = {film.image_id for film in films.values()}
    paths: list[dict[str, str]] = [{} for _ in own.truth]
    for (index, image_id), mask in sorted(raw.masks.items(), key=lambda entry: entry[0]):
        if image_id in films:
            own_id = films[image_id].image_id
            paths[index][own_id] = f"{MASKS}/{_file_stem(own_id)}-{index}.png"
            _write_png(shard.run_dir / paths[index][own_id], mask)
    return tuple(
        finding.model_copy(
            update={
                "boxes": {image_id: box for image_id, box in finding.boxes.items() if image_id in kept},
                "mask_paths": paths[index],
            }
        )
        for index, finding in enumerate(own.truth)
    )


def _file_stem(image_id: str) -> str:
    """Return a name that every file system takes; ids that are none already get a digest, so that no two meet."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", image_id):
        return image_id
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", image_id)[-60:].strip("._")
    return f"{readable}-{hashlib.sha256(image_id.encode()).hexdigest()[:12]}"


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    Image.fromarray(pixels).save(temporary, format="PNG", compress_level=_PNG_LEVEL)
    temporary.replace(path)


def without_path(message: str, path: str) -> str:
    """Return an error's message without the file's path, whose folders and name may be a patient's."""
    for name in (path, Path(path).name):
        message = message.replace(name, "the file") if name else message
    return message.removeprefix("the file: ")
