import json

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
