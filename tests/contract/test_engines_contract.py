"""What every engine promises, whoever wrote it: the text of the checkpoint, whatever the batch; and a clear refusal."""

import importlib.util
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import make_report_model

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError
from radlet.inference.decoding import Writing, answers_of
from radlet.inference.engines import ENGINES
from radlet.inference.engines.base import Engine, Feature, Sampling, check_served
from radlet.inference.exporters import EXPORTERS
from radlet.inference.exports import (
    Export,
    Source,
    checkpoint_digest,
    file_digests,
    read_export,
    write_export,
    write_frame,
)
from radlet.inference.likelihoods import Continuation
from radlet.models.report_model import ReportModel, load_report_model, save_report_model

NAMES = sorted(EXPORTERS)
PACKAGES = {"llama-cpp": "xllamacpp", "openvino": "openvino"}
"""Engine -> a package that comes with its extra."""
SHORT = Sampling(max_new_tokens=20)
LENGTHS = (3, 9, 5, 14)


@pytest.fixture(scope="module")
def report_model(tmp_path_factory: pytest.TempPathFactory) -> ReportModel:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_report_model(make_report_model(), folder, None)
    return load_report_model(folder)


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, report_model: ReportModel, tmp_path_factory) -> Path:
    """The tiny model, exported so that the engine rounds nowhere."""
    name: str = request.param
    if name in PACKAGES and not importlib.util.find_spec(PACKAGES[name]):
        pytest.skip(f"{PACKAGES[name]} is not installed")
    if EXPORTERS[name].exact is None:
        pytest.skip("this engine computes in a process of its own")
    folder = tmp_path_factory.mktemp(name)
    exporter = EXPORTERS[name](**EXPORTERS[name].exact)
    exporter.write(report_model, folder, Progress(quiet=True))
    export = Export(
        engine=name,
        options=exporter.model_dump(mode="json"),
        source=Source(path=Path(report_model.model.name_or_path), digest="unknown"),
        num_image_tokens=report_model.num_image_tokens,
        max_positions=exporter.max_positions(report_model),
        end_token_ids=report_model.end_token_ids,
        files=file_digests(folder),
    )
    write_frame(report_model, folder)
    write_export(export, folder)
    return folder


@pytest.fixture(scope="module")
def engine(exported: Path) -> Engine:
    found = read_export(exported)
    loaded: Engine = ENGINES[found.export.engine].load(found)
    return loaded


def prompts_of(report_model: ReportModel, shown: bool) -> list[list[int]]:
    """Prompts of several lengths, with a film in each or in none."""
    film = [int(report_model.model.config.image_token_id)] * report_model.num_image_tokens * shown
    return [[1, 5 + row, *film, *range(40, 40 + length)] for row, length in enumerate(LENGTHS)]


def films() -> torch.Tensor:
    return torch.randn(len(LENGTHS), 3, 32, 32, generator=torch.Generator().manual_seed(0))


def reference(report_model: ReportModel) -> Engine:
    found: Engine = ENGINES["transformers"](report_model)
    return found


@pytest.mark.parametrize("shown", [True, False], ids=["films", "no-films"])
def test_greedy_text_is_the_checkpoints(engine: Engine, report_model: ReportModel, shown: bool) -> None:
    given = (prompts_of(report_model, shown), None, films() if shown else None, SHORT)
    texts = engine.generate(*given)
    assert texts == reference(report_model).generate(*given)
    assert len({tuple(text) for text in texts}) > 1


def test_a_draft_does_not_depend_on_its_batch(engine: Engine, report_model: ReportModel) -> None:
    prompts, pixel_values = prompts_of(report_model, True), films()
    alone = [engine.generate([prompt], None, pixel_values[[row]], SHORT)[0] for row, prompt in enumerate(prompts)]
    assert engine.generate(prompts, None, pixel_values, SHORT) == alone


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_what_is_written_token_by_token_is_the_same_whatever_comes_between(
    engine: Engine, report_model: ReportModel, guidance: float
) -> None:
    if "steps" not in engine.features:
        pytest.skip("this engine writes whole answers")
    sampling = Sampling(max_new_tokens=20, guidance=guidance)
    blind = prompts_of(report_model, False) if guidance > 1 else None
    given = (prompts_of(report_model, True), blind, films(), sampling)
    expected = engine.generate(*given)
    with torch.inference_mode():
        reader = engine.reader(*given)
        logits = reader.read()
        answers = answers_of(range(len(LENGTHS)), sampling, logits.device)
        writing = Writing(engine.ends)
        writing.join(reader, logits, answers)
        for turn in range(20):
            writing.step()
            if turn == 5:
                engine.generate(prompts_of(report_model, False)[:2], None, None, SHORT)
    assert [answer.tokens for answer in answers] == expected
    assert not len(writing)


def test_guided_text_is_the_checkpoints_or_is_refused(engine: Engine, report_model: ReportModel) -> None:
    guided = Sampling(max_new_tokens=20, guidance=3.0)
    given = (prompts_of(report_model, True), prompts_of(report_model, False), films(), guided)
    if "guidance" in engine.features:
        assert engine.generate(*given) == reference(report_model).generate(*given)
    else:
        with pytest.raises(ConfigError, match="guidance 3"):
            check_served("engine", engine.features, guided)


def test_draws_repeat_with_their_seed_or_are_refused(engine: Engine, report_model: ReportModel) -> None:
    drawn = Sampling(max_new_tokens=20, temperature=2.0, top_p=0.9, seed=3)
    given = (prompts_of(report_model, True), None, films())
    if "sampling" in engine.features:
        assert engine.generate(*given, drawn) == engine.generate(*given, drawn)
        assert engine.generate(*given, drawn) != engine.generate(*given, SHORT)
    else:
        with pytest.raises(ConfigError, match="temperature 2"):
            check_served("engine", engine.features, drawn)


def test_likelihoods_are_the_checkpoints(engine: Engine, report_model: ReportModel) -> None:
    if "log_likelihoods" not in engine.features:
        pytest.skip("this engine gives none: the checkpoint is asked")
    texts = [Continuation(row % 4, list(range(60, 60 + row))) for row in range(9)]
    given = (prompts_of(report_model, True), films(), texts)
    assert engine.log_likelihoods(*given) == pytest.approx(reference(report_model).log_likelihoods(*given), abs=1e-4)


def test_a_changed_file_is_refused(exported: Path) -> None:
    file = exported / next(iter(read_export(exported).export.files))
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(CheckpointError, match="missing or was changed"):
            read_export(exported)
    finally:
        file.write_bytes(kept)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_features_are_words_of_the_interface(name: str) -> None:
    assert ENGINES[name].features <= set(Feature.__args__)


@pytest.mark.parametrize("name", NAMES)
def test_an_export_has_an_engine_of_its_name(name: str) -> None:
    assert name in ENGINES


@pytest.mark.parametrize(("sampling", "feature"), [({"temperature": 1.0}, "draw"), ({"guidance": 2.0}, "guide")])
def test_a_missing_feature_is_refused_by_name(sampling: dict[str, float], feature: str) -> None:
    with pytest.raises(ConfigError, match=rf"'plain' cannot {feature}.*Ask for .* or draft with the checkpoint"):
        check_served("plain", frozenset(), Sampling(**sampling))
    check_served("plain", frozenset(), Sampling())


def test_the_digest_of_a_checkpoint_sees_every_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = checkpoint_digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert checkpoint_digest(tmp_path) != first
