"""A hostile archive goes through `ingest` and `build`: every problem is told, and nothing good is lost."""

import io
import json

import pytest
from rich.console import Console
from tests.fixtures.dicom_files import PLANTED
from tests.fixtures.hostile_tree import LARGE_SIZE_PX, write_hostile_tree

from radlet.core.config import load_config
from radlet.data.manifests import read_examples, read_studies
from radlet.stages import build, ingest

NUM_STUDIES = 200


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The tree, the runs over it, and what they printed."""
    folder = tmp_path_factory.mktemp("archive")
    tree = write_hostile_tree(folder, NUM_STUDIES)
    console = Console(file=io.StringIO(), width=200)
    reports = {"path": str(tree.reports), "key": "study", "columns": {"report": "report"}}
    source = {"kind": "dicom_tree", "root": str(tree.root), "reports": reports}
    runs = folder / "runs"
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=2, runs_dir=runs, report_paths=True)
    ingested = ingest.run(config, console)
    built = build.run(load_config(build.BuildConfig, None, ingest=ingested, runs_dir=runs), console)
    return tree, ingested, built, console.file.getvalue()


def test_every_problem_is_itemised_with_its_reason(hostile):
    tree, ingested, _, _ = hostile
    rows = [json.loads(line) for line in (ingested / "rejected.jsonl").read_text().splitlines()]
    told = {row["id"]: row["reason"] for row in rows}
    assert len(told) == len(rows)
    assert set(told) == set(tree.refused)
    wrong = {own: (told[own], words) for own, words in tree.refused.items() if words not in told[own]}
    assert not wrong
    summary = json.loads((ingested / "summary.json").read_text())
    assert sum(summary["rejected_by_reason"].values()) == summary["rejected"] == len(rows)


def test_nothing_good_is_lost(hostile):
    tree, ingested, built, _ = hostile
    images = [image for study in read_studies(ingested) for image in study.images]
    assert len(images) == len(tree.kept)
    assert sum((image.height_px, image.width_px) == (LARGE_SIZE_PX, LARGE_SIZE_PX) for image in images) == 2
    assert len(read_examples(built)) == len(tree.kept)
    without = [json.loads(line)["reason"] for line in (built / "without_target.jsonl").read_text().splitlines()]
    assert without == ["no report"] * len(tree.without_report)


def test_nothing_is_written_outside_the_runs_and_nobody_is_named(hostile):
    _, ingested, built, shown = hostile
    folder = ingested.parents[2]
    assert {path.name for path in folder.iterdir()} == {"tree", "reports.jsonl", "runs"}
    assert not list(folder.parent.glob("**/escaped*"))
    texts = [path.read_bytes() for run in (ingested, built) for path in run.rglob("*") if path.is_file()]
    for name in (*PLANTED, "escaped"):
        assert name not in shown
        assert not any(name.encode() in text for text in texts)
