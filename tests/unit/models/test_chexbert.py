"""CheXbert on tiny random weights in the published layout: imported once, read as the published code reads."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.config import load_config
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.records import OBSERVATIONS, State
from radlet.data.assembly import ExampleSettings
from radlet.metrics import METRICS
from radlet.models.importers.chexbert import import_chexbert
from radlet.models.labellers.chexbert import CheXbertLabeller

WORDS = ["no", "small", "left", "effusion", "pneumothorax", "is", "seen", ".", "heart", "large"]
TEXTS = ["No pneumothorax.", "Small left\n effusion is seen.", "the heart is large", "effusion " * 700]


def write_bert(folder: Path, hidden_size: int = 32) -> Path:
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        initializer_range=0.5,
    )
    config.save_pretrained(folder)
    return folder


def published_state(bert_dir: Path) -> dict[str, torch.Tensor]:
    """As the published file names them: trained on several devices, with a buffer that is none any more."""
    torch.manual_seed(3)
    config = BertConfig.from_pretrained(bert_dir)
    state = {f"module.bert.{name}": tensor for name, tensor in BertModel(config).state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    for index in range(14):
        # Large weights, so that the classes of different texts differ.
        state[f"module.linear_heads.{index}.weight"] = 3 * torch.randn(4 if index < 13 else 2, config.hidden_size)
        state[f"module.linear_heads.{index}.bias"] = torch.randn(4 if index < 13 else 2)
    return state


def write_published(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save({"epoch": 3, "model_state_dict": state}, path)  # noqa: TID251 - the published file is of this kind
    return path


@pytest.fixture
def published(tmp_path):
    bert = write_bert(tmp_path / "bert")
    state = published_state(bert)
    return bert, state, write_published(tmp_path / "chexbert.pth", state)


@pytest.fixture
def folder(tmp_path, published):
    bert, _, weights = published
    import_chexbert(weights, bert, tmp_path / "out")
    return tmp_path / "out"


def expected_states(bert_dir: Path, state: dict[str, torch.Tensor], text: str) -> dict[str, State]:
    """The published reading, one text at a time and without padding."""
    tokenizer = AutoTokenizer.from_pretrained(bert_dir)
    model = BertModel(BertConfig.from_pretrained(bert_dir)).eval()
    own = {name.removeprefix("module.bert."): tensor for name, tensor in state.items() if ".bert." in name}
    model.load_state_dict({name: tensor for name, tensor in own.items() if "position_ids" not in name})
    ids = tokenizer(text)["input_ids"]
    ids = ids if len(ids) <= 512 else [*ids[:511], tokenizer.sep_token_id]
    first = model(torch.tensor([ids])).last_hidden_state[0, 0]
    meanings = [State.UNMENTIONED, State.POSITIVE, State.NEGATIVE, State.UNCERTAIN]
    return {
        name: meanings[
            int((state[f"module.linear_heads.{i}.weight"] @ first + state[f"module.linear_heads.{i}.bias"]).argmax())
        ]
        for i, name in enumerate(OBSERVATIONS)
    }


def test_states_are_those_of_the_published_reading(published, folder):
    bert, state, _ = published
    states = CheXbertLabeller(path=folder, batch_size=3).label([*TEXTS, TEXTS[0]])
    assert states[:4] == [expected_states(bert, state, text) for text in TEXTS]
    assert states[4] == states[0]
    assert len({json.dumps(row) for row in states}) > 1
    assert all(row["No Finding"] in (State.POSITIVE, State.UNMENTIONED) for row in states)


def test_the_command_line_labels_with_it(folder, tmp_path):
    (tmp_path / "texts.txt").write_text("No pneumothorax.\nthe heart is large\n")
    result = CliRunner().invoke(app, ["label", str(tmp_path / "texts.txt"), "kind=chexbert", f"path={folder}"])
    assert result.exit_code == 0
    rows = [json.loads(line)["observations"] for line in result.stdout.splitlines()]
    assert rows == [
        {name: str(state) for name, state in row.items()}
        for row in CheXbertLabeller(path=folder).label(["No pneumothorax.", "the heart is large"])
    ]


def test_the_command_line_scores_with_it(folder, tmp_path):
    texts = ["No pneumothorax.", "the heart is large"]
    rows = [{"id": i, "reference": text, "prediction": texts[0]} for i, text in enumerate(texts)]
    (tmp_path / "drafts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = "observation_f1_micro_14,rouge_l"
    out = tmp_path / "card.json"
    command = ["score", str(tmp_path / "drafts.jsonl"), "--bootstrap", "5", "--metrics", names, "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "kind=chexbert", f"path={folder}"])
    assert result.exit_code == 0
    labeller = CheXbertLabeller(path=folder)
    card = json.loads(out.read_text())
    assert (card["labeller"], card["labeller_sha256"]) == ("chexbert", labeller.sha256)
    states = labeller.label(texts)
    expected = METRICS["observation_f1_micro_14"](states, [states[0]] * 2)
    assert (card["metrics"]["observation_f1_micro_14"]["value"] or 0.0) == pytest.approx(expected)
    assert sum(row["support"] for row in card["support"].values()) == sum(
        state is State.POSITIVE for row in states for state in row.values()
    )


def test_a_run_is_told_apart_by_the_weights(folder, published):
    settings = load_config(ExampleSettings, None, labeller={"kind": "chexbert", "path": str(folder)})
    digest = settings.model_dump(mode="json")["labeller"]["sha256"]
    assert len(digest) == 64
    with pytest.raises(CheckpointError, match="sha256"):
        CheXbertLabeller(path=folder, sha256="0" * 64)


def test_a_folder_without_weights_says_how_to_get_them(tmp_path):
    with pytest.raises(ConfigError, match="radlet import chexbert"):
        load_config(ExampleSettings, None, labeller={"kind": "chexbert", "path": str(tmp_path)})


def test_names_that_do_not_fit_are_listed(tmp_path, published):
    bert, state, _ = published
    del state["module.linear_heads.2.bias"]
    state["module.further"] = torch.zeros(1)
    state["module.linear_heads.0.weight"] = torch.zeros(3, 32)
    weights = write_published(tmp_path / "wrong.pth", state)
    with pytest.raises(CheckpointError) as error:
        import_chexbert(weights, bert, tmp_path / "out")
    for clause in ("linear_heads.2.bias is missing", "further is unknown", "linear_heads.0.weight is (3, 32)"):
        assert clause in str(error.value)
    assert not (tmp_path / "out").exists()


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_a_file_that_runs_code_is_refused_unrun(tmp_path, published, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": Trap()}, tmp_path / "trap.pth")  # noqa: TID251 - the trap
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        import_chexbert(tmp_path / "trap.pth", published[0], tmp_path / "out")
    assert not Path("sprung").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"], ids=["empty", "text", "half-zip"])
def test_a_broken_file_is_refused(tmp_path, published, content):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="published CheXbert"):
        import_chexbert(tmp_path / "broken.pth", published[0], tmp_path / "out")
