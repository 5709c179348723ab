"""Choose which films of a study make one row of training or judging; stands between `build` and the batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radlet.core.errors import DataError
from radlet.core.records import Example

Films = Literal["each", "frontal", "frontal_and_lateral"]


def select_films(examples: Iterable[Example], films: Films) -> list[Example]:
    """Return rows that hold the chosen films only.

    A film whose view nobody knows counts as frontal. A study without a film of the wanted kind gives no row. A study
    that gives one row keeps its `example_id`; several rows get ``.1``, ``.2`` ... behind it.

    Args:
        examples: One per study, with all its films.
        films: ``each``: a row per film. ``frontal``: a row per frontal film. ``frontal_and_lateral``: a row per study,
            of its first frontal film and, where there is one, its first lateral film.
    """
    return [row for example in examples for row in _rows(example, _choices(example, films))]


def check_films(examples: Iterable[Example]) -> None:
    """Tell before the work begins where films are gone.

    Raises:
        DataError: A film is not there. The message tells the folder and no name, which may be a patient's.
    """
    films = {path for example in examples for path in example.image_paths}
    gone = sorted(path for path in films if not Path(path).is_file())
    if gone:
        raise DataError(
            f"{len(gone):,} of {len(films):,} films are not where the build run says, the first of them in "
            f"{Path(gone[0]).parent}. Put the run directory of ingest back there; moved runs must keep their places "
            "beside each other."
        )


@dataclass(frozen=True)
class Share:
    """What an example adds to counts of studies and films, as several examples may be of one study.

    Attributes:
        first: Whether it is the first of its study.
        films: Positions of its films that no example of the study before it has.
    """

    first: bool
    films: tuple[int, ...]


def shares(examples: Iterable[Example]) -> Iterator[tuple[Example, Share]]:
    """Yield the examples of one study, each with what it adds."""
    seen: set[str] = set()
    for number, example in enumerate(examples):
        films = tuple(index for index, path in enumerate(example.image_paths) if path not in seen)
        seen.update(example.image_paths)
        yield example, Share(number == 0, films)


def is_frontal(view: str | None) -> bool:
    """Tell whether a film is frontal: PA, AP, or of unknown view."""
    return view != "LATERAL"


def _choices(example: Example, films: Films) -> list[list[int]]:
    """Return one list of film positions per row."""
    every = range(len(example.image_paths))
    frontal = [index for index in every if is_frontal(example.views[index])]
    if films == "each":
        return [[index] for index in every]
    if films == "frontal":
        return [[index] for index in frontal]
    lateral = [index for index in every if index not in frontal]
    return [frontal[:1] + lateral[:1]] if frontal else []


def _rows(example: Example, choices: list[list[int]]) -> list[Example]:
    return [
        example.model_copy(
            update={
                "example_id": example.example_id if len(choices) == 1 else f"{example.example_id}.{number}",
                "image_paths": tuple(example.image_paths[index] for index in choice),
                "views": tuple(example.views[index] for index in choice),
            }
        )
        for number, choice in enumerate(choices, start=1)
    ]
