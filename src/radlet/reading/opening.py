"""From the bytes of a film to what the input gate says of it: the one path of uploads, folders and commands."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from radlet.data.film import DeepFilm, Film
from radlet.data.film_header import FilmHeader, read_film_header
from radlet.data.images import read_deep_film, read_film, read_film_bytes
from radlet.reading.gate import GateSettings, GateVerdict, judge_film

if TYPE_CHECKING:
    from radlet.retrieval.familiarity import Familiarity


_IN_FULL_SIZE = threading.BoundedSemaphore(2)
"""Films take many times their file while they are read: never more than two, whoever brings or asks for them."""


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

    def without_pixels(self) -> Self:
        """Return it with the shape of its pixels alone: in memory they take many times what the file does."""
        shape = np.broadcast_to(np.uint8(0), self.film.pixels.shape)
        return replace(self, film=replace(self.film, pixels=shape))


@dataclass(frozen=True)
class ReadFilm(OpenedFilm):
    """A film that can be read, and what was found of it.

    Attributes:
        verdict: Of the input gate.
    """

    verdict: GateVerdict


def open_film(content: bytes) -> OpenedFilm:
    """Read a film to see that it can be read; of its pixels the shape is kept.

    Raises:
        DataError: It is no film, or a damaged one.
    """
    with _IN_FULL_SIZE:
        return _open(content).without_pixels()


def read_received(content: bytes, gate: GateSettings, known: "Familiarity | None" = None) -> ReadFilm:
    """Read a film and let the gate judge it.

    Args:
        content: The file.
        gate: What leads to what.
        known: Films that the model has learnt from, if they are at hand.

    Raises:
        DataError: It is no film, or a damaged one.
    """
    with _IN_FULL_SIZE:
        opened = _open(content)
        verdict = judge_film(opened.film, opened.header.age_years, gate, known)
    return ReadFilm(content, opened.film, opened.header, verdict)


def judge_file(path: Path, gate: GateSettings, known: "Familiarity | None" = None) -> GateVerdict:
    """Let the gate judge a film that stays where it is.

    Args:
        path: The film.
        gate: What leads to what.
        known: Films that the model has learnt from, if they are at hand.

    Raises:
        DataError: It is no film, a damaged one, or not there. The message does not quote the path.
    """
    with _IN_FULL_SIZE:
        film = read_film(path)
        header = read_film_header(path.read_bytes()) or FilmHeader()
        return judge_film(film, header.age_years, gate, known)


def show_film(path: Path) -> Film:
    """Read a kept film in display grey, to be looked at.

    Raises:
        DataError: It is damaged, or not there. The message does not quote the path.
    """
    with _IN_FULL_SIZE:
        return read_film(path)


def show_deep_film(path: Path) -> DeepFilm:
    """Read a kept film in all its greys, to be looked at.

    Raises:
        DataError: As `show_film`.
    """
    with _IN_FULL_SIZE:
        return read_deep_film(path)


def _open(content: bytes) -> OpenedFilm:
    return OpenedFilm(content, read_film_bytes(content), read_film_header(content) or FilmHeader())
