"""Run a metric's package in the Python that has it: pairs of texts in, values out, one line of JSON each way a batch.

Started as ``PYTHON worker.py FAMILY FOLDER``. Writes ``{"ready": true}`` or ``{"failed": reason}``; then, for each line
``[[reference, draft], ...]`` of standard input, a line ``[{"values": {name: number}} or {"missing": reason}, ...]``.
Imports nothing of radlet, and keeps to what Python 3.9 understands. No reason quotes a text.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Pairs = Sequence[tuple[str, str]]
Score = Callable[[Pairs], list[dict[str, float]]]


def main() -> None:
    """Load the package, then answer batches until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Packages print what they like, texts among it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.addaudithook(_refuse_network)
    family, folder = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            score = FAMILIES[family](folder, Path(scratch))
        except Exception as error:
            # No text has been read yet, so the message may be told.
            _tell(answers, {"failed": "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:300])})
            return
        _tell(answers, {"ready": True})
        for line in sys.stdin:
            _tell(answers, _answer(score, [(reference, draft) for reference, draft in json.loads(line)]))


def _answer(score: Score, pairs: Pairs) -> list[dict[str, Any]]:
    """Score a batch; where it fails, each pair alone, so that one bad pair costs only itself."""
    try:
        values = score(pairs)
        if len(values) != len(pairs):
            raise ValueError("too few values")
        return [{"values": one} for one in values]
    except Exception as error:
        if len(pairs) == 1:
            return [{"missing": "the package failed with " + type(error).__name__}]
        return [answer for pair in pairs for answer in _answer(score, [pair])]


def _tell(answers: Any, message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _refuse_network(event: str, args: tuple[Any, ...]) -> None:
    """Keep the package from reaching any machine; addresses that are texts are files of this one."""
    outside = event == "socket.connect" and not isinstance(args[1], (str, bytes))
    if outside or event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise OSError("a metric's package may not reach the network")


def _radgraph(model_type: str) -> Callable[[Path, Path], Score]:
    def load(folder: Path, scratch: Path) -> Score:
        _point_to_files(folder, scratch / model_type)
        model = _radgraph_class()(reward_level="all", model_type=model_type, model_cache_dir=str(scratch))

        def score(pairs: Pairs) -> list[dict[str, float]]:
            references, drafts = [list(texts) for texts in zip(*pairs)]
            _, (simple, partial, complete), drafted, expected = model(refs=references, hyps=drafts)
            means = [_mean_of_entities_and_relations(one, other) for one, other in zip(expected, drafted)]
            return [
                {"simple": float(a), "partial": float(b), "complete": float(c), "mean": d}
                for a, b, c, d in zip(simple, partial, complete, means)
            ]

        return score

    return load


def _radgraph_class() -> Any:
    """Return RadGraph's F1 of the package radeval, whose copy runs beside transformers 5, else of radgraph itself."""
    try:
        import radeval
    except ImportError:
        from radgraph import F1RadGraph

        return F1RadGraph
    # Its copy of RadGraph names the package by the letters of the repository.
    sys.modules["RadEval"] = radeval
    from radeval.metrics.radgraph import F1RadGraph

    return F1RadGraph


def _point_to_files(folder: Path, out: Path) -> None:
    """Lay out the published files as the package wants them, its BERT's configuration and tokenizer read from here."""
    out.mkdir()
    for file in folder.iterdir():
        if file.name not in ("config.json", "bert"):
            (out / file.name).symlink_to(file.resolve())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part in (
        config["dataset_reader"]["token_indexers"]["bert"],
        config["model"]["embedder"]["token_embedders"]["bert"],
    ):
        part["model_name"] = str((folder / "bert").resolve())
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _mean_of_entities_and_relations(expected: dict[str, Any], drafted: dict[str, Any]) -> float:
    """Return the mean of the F1 of entities and the F1 of relations, as RadCliQ takes RadGraph."""
    return sum(_f1(read(expected), read(drafted)) for read in (_entities, _relations)) / 2


def _entities(annotation: dict[str, Any]) -> set[Any]:
    return {(entity["tokens"], entity["label"]) for entity in annotation["entities"].values()}


def _relations(annotation: dict[str, Any]) -> set[Any]:
    entities = annotation["entities"]
    return {
        (entity["tokens"], entity["label"], entities[other]["tokens"], entities[other]["label"], kind)
        for entity in entities.values()
        for kind, other in entity["relations"]
        if other in entities
    }


def _f1(expected: set[Any], drafted: set[Any]) -> float:
    total = len(expected) + len(drafted)
    return 2 * len(expected & drafted) / total if total else 0.0


def _ratescore(folder: Path, _scratch: Path) -> Score:
    import torch

    try:
        from RaTEScore import RaTEScore
    except ImportError:
        from radeval.metrics.RaTEScore import RaTEScore
    models = {"bert_model": str(folder / "ner"), "eval_model": str(folder / "synonyms")}
    scorer = RaTEScore(use_gpu=torch.cuda.is_available(), **models)

    def score(pairs: Pairs) -> list[dict[str, float]]:
        scores = scorer.compute_score([draft for _, draft in pairs], [reference for reference, _ in pairs])
        scores = scores[0] if isinstance(scores, tuple) else scores
        return [{"score": float(one)} for one in scores]

    return score


def _green(folder: Path, scratch: Path) -> Score:
    import torch

    try:
        from green_score import GREEN
    except ImportError:
        from radeval.metrics.green_score import GREEN
    wanted = {"cpu": not torch.cuda.is_available(), "compute_summary_stats": False}
    known = inspect.signature(GREEN.__init__).parameters
    model = GREEN(
        str(folder),
        output_dir=str(scratch / "green"),
        **{name: value for name, value in wanted.items() if name in known},
    )

    def score(pairs: Pairs) -> list[dict[str, float]]:
        scores = model([reference for reference, _ in pairs], [draft for _, draft in pairs])[2]
        # It writes the texts down.
        shutil.rmtree(scratch / "green", ignore_errors=True)
        return [{"score": float("nan") if one is None else float(one)} for one in scores]

    return score


FAMILIES: dict[str, Callable[[Path, Path], Score]] = {
    "radgraph": _radgraph("radgraph"),
    "radgraph-xl": _radgraph("radgraph-xl"),
    "ratescore": _ratescore,
    "green": _green,
}

if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
