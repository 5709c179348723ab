import json
import shutil

import pytest

from radlet.core.config import StageConfig
from radlet.core.runs import open_run
from radlet.evaluation.lineage import describe, upstream_runs


@pytest.fixture
def chain(tmp_path):
    """ingest -> build -> (pretrain, evaluate), pretrain -> evaluate."""
    config = StageConfig(name="tiny", runs_dir=tmp_path / "Jane Doe")

    def make(stage, **inputs):
        run = open_run(config, stage, inputs)
        for step in (1, 2, 3):
            run.log(step=step, loss=1.0 / step, note="text")
        run.log(step=3, val_loss=0.5)
        (run.path / "summary.json").write_text(
            json.dumps(
                {
                    "studies": 5,
                    "by_view": {"PA": 3, "AP": 2},
                    "share": 0.5,
                    "whole": True,
                    "rejected_by_reason": {"no film": 1, "truncated": 2},
                    "labels": {"Edema": {"train": {"known": 4}}},
                }
            )
        )
        run.finish()
        return run.path

    ingest = make("ingest")
    build = make("build", studies=ingest)
    pretrain = make("pretrain", examples=build)
    return open_run(config, "evaluate", {"examples": build, "encoder": pretrain}).path


def test_every_run_once_and_the_earliest_first(chain):
    assert [run.stage for run in upstream_runs(chain)] == ["ingest", "build", "pretrain"]


def test_what_a_run_logged(chain):
    run = upstream_runs(chain)[0]
    assert run.curves == {"loss": [(1, 1.0), (2, 0.5), (3, 1 / 3)], "val_loss": [(3, 0.5)]}
    assert run.counts == {"studies": 5, "by_view PA": 3, "by_view AP": 2}
    assert run.refusals == {"truncated": 2, "no film": 1}
    assert run.environment["radlet"]


def test_the_description_holds_no_path(chain):
    description = describe(upstream_runs(chain))
    assert [entry["role"] for entry in description.values()] == ["studies", "examples", "encoder"]
    assert "Jane" not in json.dumps(description)


def test_a_run_without_inputs_has_no_lineage(tmp_path):
    assert upstream_runs(tmp_path) == []


def test_a_moved_tree_finds_its_own_runs(chain, tmp_path):
    (tmp_path / "Jane Doe").rename(tmp_path / "moved")
    runs = upstream_runs(tmp_path / "moved" / "evaluate" / chain.name)
    assert [run.stage for run in runs] == ["ingest", "build", "pretrain"]
    assert all(run.refusals for run in runs)


def test_another_run_at_the_recorded_place_is_not_taken_for_the_input(chain, tmp_path):
    shutil.copytree(tmp_path / "Jane Doe", tmp_path / "copy")
    original = upstream_runs(chain)[0].path
    (original / "summary.json").write_text('{"rejected_by_reason": {"of another run": 9}}')
    (original / "DONE").write_text('{"digest": "another"}')
    ingest = upstream_runs(tmp_path / "copy" / "evaluate" / chain.name)[0]
    assert ingest.refusals == {"truncated": 2, "no film": 1}
    assert ingest.path == tmp_path / "copy" / "ingest" / ingest.name


def test_a_renamed_run_is_found_by_its_digest(chain):
    ingest = upstream_runs(chain)[0].path
    ingest.rename(ingest.with_name("renamed"))
    assert upstream_runs(chain)[0].path == ingest.with_name("renamed")


def test_a_run_that_is_gone_is_listed_as_not_found(chain):
    runs = upstream_runs(chain)
    (runs[1].path / "DONE").unlink()
    assert [(run.stage, run.path is None) for run in upstream_runs(chain)] == [("build", True), ("pretrain", False)]
    lost = upstream_runs(chain)[0]
    assert (lost.curves, lost.counts, lost.refusals, lost.environment) == ({}, {}, {}, {})
    description = describe(upstream_runs(chain))
    assert [entry.get("state") for entry in description.values()] == ["not found", None]
    assert "Jane" not in json.dumps(description)
