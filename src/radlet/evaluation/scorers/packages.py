"""Metrics by the packages that define them, in a Python of their own where need be: RadGraph F1, RaTEScore, GREEN."""

from collections.abc import Callable
from pathlib import Path

from radlet.evaluation.scorers.base import PairMean, PairScorer, ScorerSettings, Weights
from radlet.evaluation.scorers.external import ExternalScorer


def _opener(family: str) -> Callable[[Path, ScorerSettings], PairScorer]:
    def open_(folder: Path, settings: ScorerSettings) -> PairScorer:
        return ExternalScorer(family, folder, settings.python.get(family), settings.timeout_s)

    return open_


def _radgraph_weights(family: str) -> Weights:
    return Weights(
        family=family,
        files=("config.json", "weights.th", "vocabulary/*", "bert/config.json", "bert/vocab.txt"),
        place=f"the content of {family}.tar.gz (StanfordAIMI/RRG_scorers on the Hugging Face hub), and in bert/ the "
        "config.json and tokenizer files of the BERT that its config.json names,",
        licence="as stated with StanfordAIMI/RRG_scorers; trained on MIMIC-CXR reports",
        modules=("radeval", "radgraph"),
        install="radeval 2.2 (or, beside transformers 4, radgraph 0.1.18)",
        keys=("simple", "partial", "complete", "mean"),
        open=_opener(family),
        apart=True,
    )


def _radgraph_f1(weights: Weights, key: str, counted: str, paper: str) -> PairMean:
    return PairMean(
        weights=(weights,),
        key=key,
        what=f"F1 of {counted} that {weights.family} reads off the two texts.",
        source=f"{paper}; reward '{key}' of radgraph 0.1.18",
    )


RADGRAPH = _radgraph_weights("radgraph")
RADGRAPH_XL = _radgraph_weights("radgraph-xl")
RATESCORE = Weights(
    family="ratescore",
    files=("ner/config.json", "synonyms/config.json"),
    place="in ner/ the files of Angelakeke/RaTE-NER-Deberta and in synonyms/ those of FremyCompany/BioLORD-2023-C "
    "(Hugging Face hub)",
    licence="as stated with the two models",
    modules=("RaTEScore", "radeval"),
    install="RaTEScore 0.6 with medspacy",
    keys=("score",),
    open=_opener("ratescore"),
    apart=True,
)
GREEN = Weights(
    family="green",
    files=("config.json", "*.safetensors"),
    place="the files of StanfordAIMI/GREEN-radllama2-7b (Hugging Face hub)",
    licence="as stated with the model, which is built on Llama 2",
    modules=("green_score", "radeval"),
    install="green-score, or radeval 2.2 with datasets",
    keys=("score",),
    open=_opener("green"),
    apart=True,
)

_ENTITIES, _WHETHER, _WHICH = "entities", "entities and whether each has a relation", "entities with their relations"
_RADGRAPH_PAPER = "Jain et al. 2021, RadGraph, and Delbrouck et al. 2022"
_RADGRAPH_XL_PAPER = "Delbrouck et al. 2024, RadGraph-XL"
RADGRAPH_SIMPLE = _radgraph_f1(RADGRAPH, "simple", _ENTITIES, _RADGRAPH_PAPER)
RADGRAPH_PARTIAL = _radgraph_f1(RADGRAPH, "partial", _WHETHER, _RADGRAPH_PAPER)
RADGRAPH_COMPLETE = _radgraph_f1(RADGRAPH, "complete", _WHICH, _RADGRAPH_PAPER)
RADGRAPH_XL_SIMPLE = _radgraph_f1(RADGRAPH_XL, "simple", _ENTITIES, _RADGRAPH_XL_PAPER)
RADGRAPH_XL_PARTIAL = _radgraph_f1(RADGRAPH_XL, "partial", _WHETHER, _RADGRAPH_XL_PAPER)
RADGRAPH_XL_COMPLETE = _radgraph_f1(RADGRAPH_XL, "complete", _WHICH, _RADGRAPH_XL_PAPER)
RATE_SCORE = PairMean(
    weights=(RATESCORE,),
    key="score",
    what="RaTEScore: likeness of the medical entities of the two texts, by their kind and with synonyms.",
    source="Zhao et al. 2024, RaTEScore; the package of that name, matrix 'long'",
)
GREEN_SCORE = PairMean(
    weights=(GREEN,),
    key="score",
    what="GREEN: matched findings over matched findings and significant errors, counted by a language model.",
    source="Ostmeier et al. 2024, GREEN; the package green-score",
)
