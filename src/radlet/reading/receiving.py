"""From the bytes of a film to a study of the store: once, for uploads, folders and the DICOM node."""

from dataclasses import dataclass

from radlet.data.film import Film
from radlet.data.film_header import FilmHeader, read_film_header
from radlet.data.images import read_film_bytes
from radlet.reading.gate import GateSettings, GateVerdict, judge_film
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store


@dataclass(frozen=True)
class OpenedFilm:
    """A film that can be read.

    Attributes:
        content: The file, as it came.
        film: Its pixels.
        header: Of a DICOM object; else empty.
    """

    content: bytes
    film: Film
    header: FilmHeader


@dataclass(frozen=True)
class ReadFilm(OpenedFilm):
    """A film that can be read, and what was found of it.

    Attributes:
        verdict: Of the input gate.
    """

    verdict: GateVerdict


@dataclass(frozen=True)
class Received:
    """Where a film went."""

    study_id: str
    image_id: str
    new: bool
    verdict: GateVerdict


def open_film(content: bytes) -> OpenedFilm:
    """Read a film.

    Raises:
        DataError: It is no film, or a damaged one.
    """
    return OpenedFilm(content, read_film_bytes(content), read_film_header(content) or FilmHeader())


def read_received(content: bytes, gate: GateSettings) -> ReadFilm:
    """Read a film and let the gate judge it.

    Raises:
        DataError: It is no film, or a damaged one.
    """
    opened = open_film(content)
    verdict = judge_film(opened.film, opened.header.age_years, gate)
    return ReadFilm(content, opened.film, opened.header, verdict)


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
