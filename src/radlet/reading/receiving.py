"""From the bytes of a film to a study of the store: once, for uploads, folders and the DICOM node."""

from dataclasses import dataclass

from radlet.data.film import Film
from radlet.data.film_header import FilmHeader, read_film_header
from radlet.data.images import read_film_bytes
from radlet.reading.gate import GateSettings, GateVerdict, judge_film
from radlet.reading.store.store import NewFilm, NewStudy, Store


@dataclass(frozen=True)
class ReadFilm:
    """A film that can be read, and what was found of it.

    Attributes:
        content: The file, as it came.
        film: Its pixels.
        header: Of a DICOM object; else empty.
        verdict: Of the input gate.
    """

    content: bytes
    film: Film
    header: FilmHeader
    verdict: GateVerdict


@dataclass(frozen=True)
class Received:
    """Where a film went."""

    study_id: str
    image_id: str
    new: bool
    verdict: GateVerdict


def read_received(content: bytes, gate: GateSettings) -> ReadFilm:
    """Read a film and let the gate judge it.

    Raises:
        DataError: It is no film, or a damaged one.
    """
    film = read_film_bytes(content)
    header = read_film_header(content) or FilmHeader()
    return ReadFilm(content, film, header, judge_film(film, header.age_years, gate))


def keep_film(store: Store, read: ReadFilm, actor: str, origin: str, indication: str | None = None) -> Received:
    """Put a film into the store, into the study that its header names.

    Args:
        store: Of the reading room.
        read: The film.
        actor: Who brought it.
        origin: How it came.
        indication: Why the study was made, where the header does not say.
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
    study_id, image_id, is_new = store.add_film(study, new, actor)
    return Received(study_id, image_id, is_new, read.verdict)


def _suffix(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return ".png"
    return ".jpg" if content.startswith(b"\xff\xd8") else ".dcm"
