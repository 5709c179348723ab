"""What one worker of `quality` does: reduce and measure the films of a shard of an ingest run, and keep a journal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from radlet.core.errors import DataError
from radlet.core.locks import lock_file
from radlet.core.records import ImageRecord, Study
from radlet.data.images import read_film
from radlet.data.journals import JOURNAL, append_line, read_journal, recover_lines
from radlet.data.manifests import STUDIES, read_studies
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.base import FilmCheck, MeasuredFilm, QualityCheck
from radlet.data.quality.likeness import describe
from radlet.data.quality.reduced import reduce_film
from radlet.data.quality.view import view_from_pixels
from radlet.data.supervision import Poisoned

_IMAGES = TypeAdapter(tuple[ImageRecord, ...])


@dataclass(frozen=True)
class QualityShard:
    """One part of an ingest run and how to measure it.

    Attributes:
        checks: Name -> configuration of every check as JSON, which crosses to a spawned process whatever the class.
        view_confidence: Probability from which a view counts as shown by the pixels.
    """

    ingest: Path
    run_dir: Path
    index: int
    num_shards: int
    checks: Mapping[str, str]
    view_confidence: float

    @property
    def journal(self) -> Path:
        """The journal of this shard."""
        return self.run_dir / JOURNAL / f"{self.index:04d}.jsonl"


def measure_shard(shard: QualityShard, poisoned: Poisoned) -> Iterator[str | None]:
    """Measure the films of a shard; yields as `supervision` asks. Films in `poisoned` are refused unread."""
    checks = load_checks(shard.checks)
    film_checks = {name: check for name, check in checks.items() if isinstance(check, FilmCheck)}
    with shard.journal.open("ab+") as journal:
        # A worker whose parent was killed may still be at its last film.
        lock_file(journal.fileno(), wait=True)
        done = sum(1 for _ in recover_lines(journal))
        for position, image in enumerate(_images(shard)):
            if position < done:
                continue
            if image.image_id in poisoned:
                measured = MeasuredFilm(image_id=image.image_id, refused=poisoned[image.image_id])
            else:
                yield image.image_id
                measured = _measure(shard, film_checks, image)
                yield None
            append_line(journal, measured.model_dump(mode="json"))


def measured_studies(shards: list[QualityShard]) -> Iterator[tuple[Study, list[MeasuredFilm]]]:
    """Yield the studies of the ingest run in order, each with its measured films, when every shard is done."""
    journals = [read_journal(shard.journal) for shard in shards]
    for number, study in enumerate(read_studies(shards[0].ingest)):
        lines = journals[number % len(journals)]
        yield study, [MeasuredFilm.model_validate(next(lines)) for _ in study.images]


def load_checks(checks: Mapping[str, str]) -> dict[str, QualityCheck]:
    """Return the checks from their JSON."""
    return {name: QUALITY_CHECKS[name].model_validate_json(text) for name, text in checks.items()}


def _images(shard: QualityShard) -> Iterator[ImageRecord]:
    """Yield the films of every study of the shard; the reports stay unread."""
    number = 0
    with pq.ParquetFile(shard.ingest / STUDIES) as file:
        if "images" not in file.schema_arrow.names:
            return
        for batch in file.iter_batches(columns=["images"]):
            for images in batch.column("images").to_pylist():
                if number % shard.num_shards == shard.index:
                    yield from _IMAGES.validate_json(images)
                number += 1


def _measure(shard: QualityShard, checks: Mapping[str, FilmCheck], image: ImageRecord) -> MeasuredFilm:
    try:
        film = reduce_film(image, read_film(shard.ingest / image.path).pixels)
    except DataError as error:
        return MeasuredFilm(image_id=image.image_id, refused=str(error))
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything; the film is refused by id
        return MeasuredFilm(image_id=image.image_id, refused=f"the decoder failed ({type(error).__name__})")
    descriptor, fine = describe(film.grey)
    return MeasuredFilm(
        image_id=image.image_id,
        height_px=film.height_px,
        width_px=film.width_px,
        numbers={name: _rounded(check.measure(film)) for name, check in checks.items()},
        view_from_pixels=view_from_pixels(film, shard.view_confidence),
        descriptor=descriptor,
        fine=fine,
    )


def _rounded(number: float | None) -> float | None:
    """Return six digits, so that verdicts do not hang on the last bit of another machine's arithmetic."""
    return None if number is None else float(f"{number:.6g}")
