"""From a film that was opened to a study of the store: once, for uploads, folders and the DICOM node."""

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


def keep_film(store: Store, read: ReadFilm, actor: str, origin: str, indication: str | None = None) -> Received:
    """Put a film that was judged into the store, as `store_film` does."""
    return Received(*store_film(store, read, actor, origin, indication), read.verdict)


def store_film(
    store: Store, read: OpenedFilm, actor: str, origin: str, indication: str | None = None
) -> tuple[str, str, bool]:
    """Put a film into the store, into the study that its header names.

    Args:
        store: Of the reading room.
        read: The film.
        actor: Who brought it.
        origin: How it came.
        indication: Why the study was made, where the header does not say.

    Returns:
        Identifier of the study, of the film, and whether it is new.
    """
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
    return store.add_film(study, new, actor)


def _suffix(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return ".png"
    return ".jpg" if content.startswith(b"\xff\xd8") else ".dcm"
