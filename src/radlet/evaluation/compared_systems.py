"""Read what is compared, whoever made it, and align it: one line of reports, one list of drafts a system.

A system is an evaluate run, a scorecard alone, or a bare file of predictions. Drafts are aligned by the id of their
report; ids and counts are all that a message tells.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from radlet.core.errors import DataError
from radlet.core.records import Example, Finding, Prediction
from radlet.core.runs import DONE, check_stage, run_digest
from radlet.data.manifests import EXAMPLES, read_examples
from radlet.evaluation.lineage import upstream_runs
from radlet.evaluation.prediction_files import read_predictions
from radlet.evaluation.scorecard import Scorecard

SCORECARD, PREDICTIONS, BASELINES = "scorecard.json", "predictions.jsonl", "baselines"
_SHOWN_IDS = 5
_MUST_AGREE = ("task", "split", "section")
"""What two scorecards of one comparison have to agree on."""


@dataclass(frozen=True)
class System:
    """One system as it was read.

    Attributes:
        name: What it is called.
        drafts: Its predictions, one list for each seed it was trained with; none where only a scorecard is there.
        scorecard: Where it was evaluated here.
        run_dir: The evaluate run, if there is one.
        baseline_of: The system beside which this one was drafted as a baseline.
    """

    name: str
    drafts: tuple[Sequence[Prediction], ...] = ()
    scorecard: Scorecard | None = None
    run_dir: Path | None = None
    baseline_of: str | None = None


@dataclass(frozen=True)
class Lineup:
    """The drafts of several systems for the same reports.

    Attributes:
        systems: In the order of the comparison, the reference system first.
        ids: Id of each report.
        rows: Line of each report in the file of the first system, from 1.
        references: The expected texts.
        patients: Patient of each report.
        texts: System -> its drafts in that order, one list a seed.
        truth: The true findings of each report, or None where nobody knows.
        notes: What a reader has to know: reports left out, versions that differ.
    """

    systems: Sequence[System]
    ids: Sequence[str]
    rows: Sequence[int]
    references: Sequence[str]
    patients: Sequence[str]
    texts: Mapping[str, Sequence[Sequence[str]]]
    truth: Sequence[Sequence[Finding]] | None = None
    notes: tuple[str, ...] = ()


def read_system(given: str) -> System:
    """Read ``PATH`` or ``NAME=PATH``: an evaluate run, the folder that `radlet run` leaves, a scorecard, predictions.

    Raises:
        DataError: There is nothing of that kind, or an evaluate run is unfinished or was changed.
    """
    name, path = _named(given)
    if path.is_dir():
        return read_run(name or path.resolve().name, path)
    if path.suffix.lower() == ".json":
        beside = path.parent / PREDICTIONS
        if path.name == SCORECARD and beside.is_file():
            return read_run(name or path.resolve().parent.name, path.parent)
        return System(name or _file_name(path, "scorecard"), scorecard=Scorecard.load(path))
    return System(name or _file_name(path, "predictions"), (read_predictions(path),))


def read_run(name: str, folder: Path) -> System:
    """Read an evaluate run, or the folder that `radlet run` leaves.

    Raises:
        DataError: It is neither, or is unfinished or was changed.
    """
    run_dir = _evaluate_run(folder)
    if (run_dir / "inputs.json").is_file() or (run_dir / DONE).is_file():
        run_digest(run_dir)
        check_stage(run_dir, "evaluate", SCORECARD)
    scorecard = Scorecard.load(run_dir / SCORECARD)
    predictions = run_dir / PREDICTIONS
    return System(name, (read_predictions(predictions),) if predictions.is_file() else (), scorecard, run_dir)


def read_systems(given: Sequence[str]) -> list[System]:
    """Read several systems, the reference system first.

    Raises:
        DataError: As `read_system`; there are fewer than two, or two have one name.
    """
    if len(given) < 2:
        raise DataError(
            "One system cannot be compared. Give two or more evaluate runs, scorecards or prediction files."
        )
    systems = [read_system(one) for one in given]
    names = [system.name for system in systems]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"Two systems are called {', '.join(twice)}. Name them: NAME=PATH, each another NAME.")
    return systems


def with_baselines(systems: Sequence[System]) -> list[System]:
    """Add the baselines that stand beside evaluate runs, each set of equal drafts once, behind all systems."""
    known: dict[tuple[str, ...], str] = {}
    baselines: list[System] = []
    for system in systems:
        folder = system.run_dir / BASELINES if system.run_dir else None
        for path in sorted(folder.glob("*.jsonl")) if folder else []:
            rows = read_predictions(path)
            texts = (path.stem, *(f"{row.example_id}\n{row.text}" for row in rows))
            if texts not in known:
                known[texts] = system.name
                baselines.append(System(path.stem, (rows,), baseline_of=system.name))
    several = [baseline.name for baseline in baselines]
    return [
        *systems,
        *(
            replace(one, name=f"{one.name} of {one.baseline_of}") if several.count(one.name) > 1 else one
            for one in baselines
        ),
    ]


def align(systems: Sequence[System]) -> Lineup | None:
    """Bring the systems that have drafts onto the reports that all of them answered, in the order of the first.

    None where all are scorecards alone.

    Raises:
        DataError: They were evaluated on different tasks, splits or sections, have no report in common, or disagree on
            the reference or the patient of one.
    """
    drafted = [system for system in systems if system.drafts]
    notes = [*check_alike(systems)]
    if not drafted:
        return None
    files = [(system.name, rows) for system in drafted for rows in system.drafts]
    tables = [(name, {row.example_id: row for row in rows}) for name, rows in files]
    first = tables[0][1]
    common = [name for name in first if all(name in table for _, table in tables[1:])]
    if not common:
        others = ", ".join(sorted({f"{name} ({len(table)})" for name, table in tables}))
        raise DataError(f"No report id is common to all systems: {others}. Give drafts for the same reports.")
    notes += _left_out(tables, len(common))
    _check_references(tables, common)
    patients = _patients(tables, common)
    lines = {name: line for line, name in enumerate(first, start=1)}
    texts: dict[str, list[list[str]]] = {}
    for name, table in tables:
        texts.setdefault(name, []).append([table[one].text for one in common])
    return Lineup(
        systems=drafted,
        ids=common,
        rows=[lines[name] for name in common],
        references=[first[name].reference or "" for name in common],
        patients=[patients[name] for name in common],
        texts=texts,
        truth=_truth(drafted, common),
        notes=tuple(notes),
    )


def check_alike(systems: Sequence[System]) -> Iterator[str]:
    """Yield what a reader has to know of how the systems were evaluated.

    Raises:
        DataError: They were evaluated on different tasks, splits or sections.
    """
    cards = {system.name: system.scorecard for system in systems if system.scorecard is not None}
    for key in _MUST_AGREE:
        values = {name: getattr(card, key) for name, card in cards.items() if getattr(card, key) is not None}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{name} {value}" for name, value in values.items())
            raise DataError(f"The systems were evaluated on different {key}s: {said}. Evaluate them on the same one.")
    versions = {name: card.task_version for name, card in cards.items()}
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f"versions of the task differ ({said}): drafts may have been asked for in different words"
    sizes = {system.name: system.scorecard.num_reports for system in systems if system.scorecard and not system.drafts}
    for name, size in sizes.items():
        yield f"{name} is a scorecard alone ({size} reports): it stands beside the others, unpaired and without tests"


def reads_observations(systems: Sequence[System]) -> bool:
    """Tell whether the drafts are texts whose observations were scored; those of bare files are taken to be."""
    evaluated = [system for system in systems if system.scorecard]
    return not evaluated or any(_judged(system, "observation_") for system in evaluated)


def _named(given: str) -> tuple[str, Path]:
    """Split ``NAME=PATH``; a path that exists as it stands has no name in front of it."""
    name, equals, path = given.partition("=")
    if equals and name and path and not Path(given).exists():
        return name, Path(path)
    return "", Path(given)


def _file_name(path: Path, usual: str) -> str:
    """Call a file after itself, or after its folder where every file of its kind is called the same."""
    return path.resolve().parent.name if path.stem == usual else path.stem


def _evaluate_run(folder: Path) -> Path:
    """Return the run itself, or the one whose scorecard `radlet run` copied into this folder."""
    if (folder / PREDICTIONS).is_file() or (folder / "inputs.json").is_file() or not (folder / SCORECARD).is_file():
        return folder
    copied = (folder / SCORECARD).read_bytes()
    runs = sorted((folder / "runs" / "evaluate").glob(f"*/{SCORECARD}"))
    return next((path.parent for path in runs if path.read_bytes() == copied), folder)


def _left_out(tables: Sequence[tuple[str, Mapping[str, Prediction]]], num_common: int) -> Iterator[str]:
    sizes = {name: len(table) for name, table in tables}
    if any(size != num_common for size in sizes.values()):
        said = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        yield f"only the {num_common} reports that every system answered are compared ({said})"


def _check_references(tables: Sequence[tuple[str, Mapping[str, Prediction]]], common: Sequence[str]) -> None:
    (first_name, first), *others = tables
    for name, table in others:
        # Peers' programs fold line ends and spaces; no metric here would score another text for that.
        wrong = [one for one in common if _folded(first[one].reference) != _folded(table[one].reference)]
        if wrong:
            raise DataError(
                f"{first_name} and {name} disagree on the reference of {len(wrong)} of {len(common)} reports "
                f"({_some(wrong)}). Give drafts for the same references."
            )


def _patients(tables: Sequence[tuple[str, Mapping[str, Prediction]]], common: Sequence[str]) -> dict[str, str]:
    """Return the patient of each report from the files that tell; a file without patients calls each by its report."""
    telling = [table for _, table in tables if any(row.patient_id != row.example_id for row in table.values())]
    if not telling:
        return {name: name for name in common}
    wrong = [one for one in common if len({table[one].patient_id for table in telling}) > 1]
    if wrong:
        raise DataError(
            f"The systems disagree on the patient of {len(wrong)} of {len(common)} reports ({_some(wrong)}). "
            "Give the same patient_id for the same report, or leave it out of all files but one."
        )
    return {name: telling[0][name].patient_id for name in common}


def _truth(systems: Sequence[System], common: Sequence[str]) -> Sequence[Sequence[Finding]] | None:
    """Return what is truly on the films, from the examples behind the first evaluate run that are still there."""
    system = next((system for system in systems if system.run_dir), None)
    # Answers to questions are not judged against what is on the film, even where that is known.
    if system is None or system.run_dir is None or not _judged(system, "truth_"):
        return None
    run_dir = system.run_dir
    built = (run.path for run in upstream_runs(run_dir) if run.role == "examples" and run.path)
    path = next((path for path in built if (path / EXAMPLES).is_file()), None)
    examples: dict[str, Example] = {one.example_id: one for one in read_examples(path)} if path else {}
    truths = [examples[name].truth if name in examples else None for name in common]
    known = [truth for truth in truths if truth is not None]
    return known if len(known) == len(common) else None


def _judged(system: System, prefix: str) -> bool:
    return system.scorecard is not None and any(name.startswith(prefix) for name in system.scorecard.metrics)


def _folded(text: str | None) -> str:
    return " ".join((text or "").split())


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS]) + (" …" if len(ids) > _SHOWN_IDS else "")
