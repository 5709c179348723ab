import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.fixtures.scripted_server import Reply, serve
from tests.fixtures.tiny import make_report_model

from radlet.core.console import Progress
from radlet.core.errors import PrivacyError, RunError
from radlet.inference.engines.base import Sampling
from radlet.inference.engines.transformers import TransformersEngine
from radlet.inference.engines.vllm import VllmEngine
from radlet.inference.exporters.vllm import MODEL, VllmExport
from radlet.inference.exports import Export, ExportedModel, Source
from radlet.models.language import load_plain_model
from radlet.models.report_model import ReportModel

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]
SHORT = Sampling(max_new_tokens=12)


@pytest.fixture(scope="module")
def report_model() -> ReportModel:
    return make_report_model()


def export(report_model: ReportModel, folder: Path, url: str) -> ExportedModel:
    options = VllmExport(dtype="float32", server={"url": url, "max_retries": 0, "timeout_s": 20.0})
    options.write(report_model, folder, Progress(quiet=True))
    record = Export(
        engine="vllm",
        options=options.model_dump(mode="json"),
        source=Source(path=folder, digest=""),
        num_image_tokens=report_model.num_image_tokens,
        end_token_ids=report_model.end_token_ids,
    )
    return ExportedModel(folder, record, report_model.card, report_model.tokenizer)


def inputs(report_model: ReportModel) -> tuple[list[list[int]], torch.Tensor]:
    reasons = (None, "Cough.", "Fever and a productive cough for three weeks, evaluate for pneumonia.")
    prompts = [report_model.encode_prompt(report_model.card.prompt.render(1, reason)) for reason in reasons]
    return prompts, torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_server_that_reads_the_exported_model_writes_what_transformers_writes(
    report_model: ReportModel, tmp_path: Path
) -> None:
    """The stand-in does what vLLM does: reads the tensor with weights_only and decodes greedily from the folder."""
    held: dict[str, Any] = {}

    def answer(question: dict[str, Any], _: int) -> Reply:
        raw = io.BytesIO(base64.b64decode(question["prompt_embeds"], validate=True))
        embedded = torch.load(raw, weights_only=True)  # noqa: TID251 - as the server does
        asked = {"max_new_tokens": question["max_tokens"], "eos_token_id": question["stop_token_ids"]}
        with torch.inference_mode():
            ids = held["model"].generate(inputs_embeds=embedded[None], do_sample=False, pad_token_id=0, **asked)
        return Reply(json.dumps({"choices": [{"index": 0, "text": "", "token_ids": ids[0].tolist()}]}).encode())

    with serve(answer) as server:
        exported = export(report_model, tmp_path, server.url)
        held["model"], _ = load_plain_model(tmp_path / MODEL)
        prompts, films = inputs(report_model)
        engine = VllmEngine.load(exported)
        assert engine.generate(prompts, None, films, SHORT) == TransformersEngine(report_model).generate(
            prompts, None, films, SHORT
        )
        assert {question["model"] for question in server.questions} == {"radlet"}
        engine.generate(prompts[:2], None, films[:2], Sampling(max_new_tokens=2, temperature=0.5, top_p=0.9, seed=3))
    drawn = server.questions[3:]
    assert [(question["temperature"], question["top_p"]) for question in drawn] == [(0.5, 0.9)] * 2
    assert len({question["seed"] for question in drawn}) == 2


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"not json SECRET"), "malformed"),
        (Reply(b'{"choices": []}'), "malformed"),
        (Reply(b'{"choices": [{"text": "SECRET"}]}'), "malformed"),
        (Reply(b'{"error": "SECRET"}', status=400), "request_refused"),
        (Reply(b'{"error": "SECRET"}', status=500), "server_error"),
    ],
    ids=["no json", "no choice", "no token ids", "refused", "broken"],
)
def test_a_server_that_does_not_answer_as_vllm_is_told_without_a_word_of_its_answer(
    report_model: ReportModel, tmp_path: Path, reply: Reply, reason: str
) -> None:
    prompts, films = inputs(report_model)
    with serve(lambda *_: reply) as server:
        engine = VllmEngine.load(export(report_model, tmp_path, server.url))
        with pytest.raises(RunError, match=f"{reason}.*serve.sh") as error:
            engine.generate(prompts[:1], None, films[:1], SHORT)
    assert "SECRET" not in str(error.value)


def test_no_server_and_a_server_elsewhere(report_model: ReportModel, tmp_path: Path) -> None:
    prompts, films = inputs(report_model)
    engine = VllmEngine.load(export(report_model, tmp_path, "http://127.0.0.1:9/v1"))
    with pytest.raises(RunError, match="unreachable"):
        engine.generate(prompts[:1], None, films[:1], SHORT)
    engine = VllmEngine.load(export(report_model, tmp_path, "http://10.0.0.1:8000/v1"))
    with pytest.raises(PrivacyError, match="allow_host"):
        engine.generate(prompts[:1], None, films[:1], SHORT)


def test_the_server_starts_on_this_machine_alone_and_tells_nobody(report_model: ReportModel, tmp_path: Path) -> None:
    export(report_model, tmp_path, "http://127.0.0.1:8123/v1")
    script = (tmp_path / "serve.sh").read_text()
    assert "--host 127.0.0.1 --port 8123" in script
    assert "VLLM_NO_USAGE_STATS=1" in script
    assert "HF_HUB_OFFLINE=1" in script
    assert "--max-model-len 256" in script, "no more than the model was made for"
