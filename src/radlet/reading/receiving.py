"""From a film that was opened to a study of the store: once, for uploads, folders and the DICOM node."""

from collections.abc import Sequence
from dataclasses import dataclass

from radlet.reading.gate import GateVerdict
from radlet.reading.opening import OpenedFilm, ReadFilm
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store


@dataclass(frozen=True)
class Received:
    """Where a film went."""

    study_id: str
    image_id: str
    new: bool
    verdict: GateVerdict


def keep_films(
    store: Store, read: Sequence[ReadFilm], actor: str, origin: str, indication: str | None = None
) -> list[Received]:
    """Put films that were judged into the store, as `store_films` does."""
    kept = store_films(store, read, actor, origin, indication)
    return [Received(*one, film.verdict) for one, film in zip(kept, read, strict=True)]


def store_films(
    store: Store, read: Sequence[OpenedFilm], actor: str, origin: str, indication: str | None = None
) -> list[tuple[str, str, bool]]:
    """Put films into the store, each into the study that its header names; all or none.

    Args:
        store: Of the reading room.
        read: The films.
        actor: Who brought it.
        origin: How it came.
        indication: Why the study was made, where the header does not say.

    Returns:
        Of each, the identifier of the study, of the film, and whether it is new.

    Raises:
        DataError: A study is known as another patient's.
    """
    return store.add_films([_as_new(one, origin, indication) for one in read], actor)


def _as_new(read: OpenedFilm, origin: str, indication: str | None) -> tuple[NewStudy, NewFilm]:
    header, film = read.header, read.film
    study = NewStudy(
        origin=origin,
        study_uid=header.study_uid,
        patient_id=header.patient_id,
        patient_name=header.patient_name,
        birth_date=header.birth_date,
        sex=header.sex,
        accession_number=header.accession_number,
        study_date=header.study_date,
        description=header.description,
        indication=header.indication or indication,
        scanner=header.scanner,
    )
    height, width = film.pixels.shape
    new = NewFilm(
        content=read.content,
        suffix=_suffix(read.content),
        height_px=height,
        width_px=width,
        sop_instance_uid=header.sop_instance_uid,
        series_uid=header.series_uid,
        view=film.view or header.view,
        spacing_mm=header.spacing_mm,
    )
    return study, new


def _suffix(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return ".png"
    return ".jpg" if content.startswith(b"\xff\xd8") else ".dcm"
