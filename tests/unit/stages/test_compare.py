import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from radlet.cli import app
from radlet.evaluation.comparison import ComparisonSettings
from radlet.evaluation.comparison_card import Comparison
from radlet.evaluation.scorecard import Scorecard
from radlet.metrics import METRICS
from radlet.metrics.resampling import Estimate
from radlet.models.labellers.chexbert import CheXbertLabeller
from radlet.stages.compare import COMPARISON_HTML, COMPARISON_JSON, print_comparison, run_compare

TEXTS = ["There is a left pleural effusion.", "The heart is enlarged.", "There is a right rib fracture."] * 8


def write(path: Path, drafts: list[str]) -> str:
    rows = [{"id": row, "reference": TEXTS[row], "prediction": text} for row, text in enumerate(drafts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_leaves_page_and_json_and_prints_one_row_a_system(tmp_path: Path) -> None:
    given = [write(tmp_path / "all.jsonl", TEXTS), "[peer]=" + write(tmp_path / "x.jsonl", ["Normal."] * 20)]
    said = Console(file=io.StringIO(), width=200, record=True)
    settings = ComparisonSettings(("bleu_1", "rouge_l"), 50)
    comparison = run_compare(given, tmp_path / "out" / "deep", settings, True, said)
    assert "only the 20 reports that every system answered" in said.export_text()
    written = (tmp_path / "out" / "deep" / COMPARISON_JSON).read_text(encoding="utf-8")
    assert Comparison.model_validate_json(written) == comparison
    assert "[peer]" in (tmp_path / "out" / "deep" / COMPARISON_HTML).read_text(encoding="utf-8")

    table = Console(file=io.StringIO(), width=200, record=True)
    print_comparison(comparison, table)
    text = table.export_text()
    assert "20 reports of 20 patients" in text
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["all", "[peer]"]
    assert "1.000 (1.000, 1.000)" in text
    assert "100 %" in text


def test_another_labeller_and_models_score_from_the_command_line(tmp_path: Path, scorer_weights: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(scorer_weights / "chexbert", weights / "chexbert")
    given = [write(tmp_path / "all.jsonl", TEXTS), write(tmp_path / "x.jsonl", ["Normal."] * 24)]
    options = [
        *("--out", str(tmp_path / "out"), "--bootstrap", "20", "--weights", str(weights)),
        *("--labeller", "kind=chexbert", "--labeller", f"path={weights / 'chexbert'}"),
        *("--metrics", "observation_f1_micro_14,chexbert_similarity"),
    ]
    result = CliRunner().invoke(app, ["compare", *given, *options])
    assert result.exit_code == 0, result.exception
    comparison = Comparison.model_validate_json((tmp_path / "out" / COMPARISON_JSON).read_text(encoding="utf-8"))
    labeller = CheXbertLabeller(path=weights / "chexbert")
    assert (comparison.labeller, comparison.labeller_sha256) == ("chexbert", labeller.sha256)
    assert list(comparison.weights) == ["chexbert"]
    states = labeller.label(TEXTS)
    expected = METRICS["observation_f1_micro_14"](states, labeller.label(["Normal."]) * len(TEXTS))
    assert (comparison.metrics["observation_f1_micro_14"].standings["x"].value or 0.0) == pytest.approx(expected)
    assert comparison.metrics["chexbert_similarity"].standings["all"].value == pytest.approx(1.0)
    assert "observations read by <b>chexbert</b>" in (tmp_path / "out" / COMPARISON_HTML).read_text(encoding="utf-8")


def test_scorecards_alone_are_not_called_0_reports(tmp_path: Path) -> None:
    estimate = Estimate(0.5, 0.4, 0.6)
    card = Scorecard(
        task="file",
        split=None,
        num_studies=9,
        num_reports=9,
        num_patients=9,
        num_resamples=9,
        metrics={"bleu_4": estimate},
    )
    other = card.model_copy(update={"labeller": "chexbert", "labeller_sha256": "0" * 64})
    card.save(tmp_path / "one.json")
    other.save(tmp_path / "other.json")
    said = Console(file=io.StringIO(), width=200, record=True)
    given = [str(tmp_path / "one.json"), str(tmp_path / "other.json")]
    comparison = run_compare(given, tmp_path / "out", ComparisonSettings(), True, said)
    assert "different labellers (one by rules, other by chexbert)" in said.export_text()
    table = Console(file=io.StringIO(), width=200, record=True)
    print_comparison(comparison, table)
    text = table.export_text()
    assert "scorecards side by side" in text
    assert "0 reports" not in text
