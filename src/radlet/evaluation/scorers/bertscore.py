"""BERTScore (Zhang et al. 2020) by the package bert-score, from an encoder on disk.

The encoder's folder bears the name under which it is published (``distilroberta-base``,
``microsoft/deberta-xlarge-mnli``): by it the package knows the layer to read and the baseline to rescale by. Under any
other name the last layer is read, and nothing is rescaled. Rare words weigh no more than others (no idf).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from radlet.core.errors import CheckpointError
from radlet.evaluation.scorers.base import LoadedWeights, Pair, PairMean, PairScorer, ScorerSettings, Values, Weights


class BertScorer(PairScorer):
    """The package's scorer over one encoder.

    Args:
        folder: Holds the encoder, in a folder of its published name.

    Raises:
        CheckpointError: There is no encoder that the package can read, or more than one.
    """

    def __init__(self, folder: Path) -> None:
        # Torch and the package load when a score is wanted, not when metrics are listed.
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
        from transformers import AutoConfig

        encoder = find_encoder(folder)
        name = encoder.relative_to(folder).as_posix()
        try:
            config = AutoConfig.from_pretrained(encoder, local_files_only=True)
            num_layers = model2layers.get(name, config.num_hidden_layers)
            self._scorer: Any = BERTScorer(model_type=str(encoder), num_layers=num_layers)
        except (OSError, ValueError, AssertionError) as error:
            raise CheckpointError(
                f"{encoder}: is no encoder that BERTScore can read ({type(error).__name__}). Place the published files "
                "there: config.json, model.safetensors, those of the tokenizer."
            ) from None
        _cut_long_texts(self._scorer._tokenizer, config)
        self._floor = baseline(name, num_layers)

    def score(self, pairs: Sequence[Pair]) -> list[Values]:
        """Return F1 of every pair, and F1 rescaled so that the published baseline is 0, or unscaled without one."""
        references, drafts = ([pair[side] for pair in pairs] for side in (0, 1))
        f1 = self._scorer.score(drafts, references, batch_size=len(pairs))[2].tolist()
        floor = self._floor or 0.0
        return [{"f1": one, "rescaled": (one - floor) / (1 - floor)} for one in f1]


@dataclass(eq=False, kw_only=True)
class RescaledBertScore(PairMean):
    """BERTScore F1 rescaled by the package's baseline, of encoders for which it has one."""

    def lack(self, scorers: LoadedWeights) -> str | None:
        """Tell what to do before it can be computed; None where it can."""
        folder = scorers.folder(self.weights[0])
        lack = super().lack(scorers)
        if lack or _baseline_file(find_encoder(folder).relative_to(folder).as_posix()):
            return lack
        return f"place an encoder for which bert-score has a baseline, such as {_USUAL}, at {folder}"


def find_encoder(folder: Path) -> Path:
    """Return the one folder below that holds an encoder.

    Raises:
        CheckpointError: There is none, or more than one.
    """
    found = sorted({file.parent for file in folder.rglob("*.safetensors") if (file.parent / "config.json").is_file()})
    if len(found) != 1 or found[0] == folder:
        raise CheckpointError(
            f"{folder}: holds {len(found)} encoders. Place one there, in a folder of its published name: "
            f"{folder / _USUAL}"
        )
    return found[0]


def baseline(name: str, num_layers: int) -> float | None:
    """Return the package's F1 of unrelated English sentences for a published encoder; None where it has none."""
    file = _baseline_file(name)
    if file is None:
        return None
    with file.open(encoding="utf-8", newline="") as rows:
        return float(list(csv.DictReader(rows))[num_layers]["F"])


def _baseline_file(name: str) -> Path | None:
    package = find_spec("bert_score")
    places = package.submodule_search_locations if package else None
    file = Path(next(iter(places or ["."]))) / "rescale_baseline" / "en" / f"{name}.tsv"
    return file if file.is_file() else None


def _cut_long_texts(tokenizer: Any, config: Any) -> None:
    """Have texts cut at what the encoder can read, which some tokenizers do not know."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # Encoders of the RoBERTa kind count positions from behind the padding's.
        first = tokenizer.pad_token_id + 1 if "roberta" in config.model_type else 0
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions - first)


def _open(folder: Path, _settings: ScorerSettings) -> PairScorer:
    return BertScorer(folder)


_USUAL = "distilroberta-base"
_SOURCE = "Zhang et al. 2020, BERTScore; bert-score 0.3.13, no idf"
WEIGHTS = Weights(
    family="bertscore",
    files=("**/config.json", "**/*.safetensors"),
    place=f"an encoder in a folder of its published name, such as {_USUAL} of the Hugging Face hub,",
    licence="the encoder's own; Apache-2.0 for distilroberta-base",
    modules=("bert_score",),
    install='"radlet[scorers]"',
    keys=("f1", "rescaled"),
    open=_open,
)
BERTSCORE = PairMean(
    weights=(WEIGHTS,),
    key="f1",
    what="BERTScore F1, raw: words matched greedily by the cosine of their vectors; high even for unrelated texts.",
    source=_SOURCE,
    low=-1.0,
)
BERTSCORE_RESCALED = RescaledBertScore(
    weights=(WEIGHTS,),
    key="rescaled",
    what="BERTScore F1 rescaled so that unrelated English sentences have about 0.",
    source=f"{_SOURCE}, rescaled by its baseline for English",
    low=float("-inf"),
)
