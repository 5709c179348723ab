"""Does the verdict tell a model that looks from one that cannot? Usage: python bench/looking.py DEMO [--out DIR]

DEMO is the folder that `radlet demo` or `radlet run` of the tiny recipe left. Its examples are written again with each
film given to another patient's report, in every split that trains; projector and language model are trained on them by
the recipe of the tiny model, and both models are judged on the films as they are. The honest one has to be found
looking, the other one not.
"""

import argparse
from pathlib import Path

from radlet.core.config import StageConfig, load_config
from radlet.core.records import Example
from radlet.core.runs import open_run
from radlet.data.manifests import EXAMPLES, read_examples, write_records
from radlet.evaluation.baselines import other_patients
from radlet.evaluation.page import looking_line
from radlet.evaluation.scorecard import Scorecard
from radlet.stages import align, evaluate, finetune
from radlet.stages.pipeline import shipped_recipes

SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--out", type=Path, default=Path("looking"))
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the evaluate recipe")
    args = parser.parse_args()
    recipes, runs = shipped_recipes("tiny"), args.out / "runs"
    examples = next((args.demo / "runs" / "build").iterdir())
    encoder = (args.demo / "encoder").resolve().parent
    blind = next((args.demo / "runs" / "finetune").glob("no_image-*"))
    honest = (args.demo / "checkpoint").resolve().parent
    shuffled = shuffle_films(examples, runs)
    aligned = align.run(
        load_config(align.AlignConfig, recipes / "align.toml", examples=shuffled, encoder=encoder, runs_dir=runs)
    )
    tuned = finetune.run(
        load_config(
            finetune.FinetuneConfig, recipes / "finetune.toml", examples=shuffled, checkpoint=aligned, runs_dir=runs
        )
    )
    for name, checkpoint in (("honest", honest), ("shuffled", tuned)):
        given = {"examples": examples, "checkpoint": checkpoint, "no_image_checkpoint": blind, "encoder": encoder}
        config = load_config(
            evaluate.EvaluateConfig, recipes / "evaluate.toml", args.set, runs_dir=runs, **given | {"name": name}
        )
        report(name, Scorecard.load(evaluate.run(config) / "scorecard.json"))


def shuffle_films(build: Path, runs: Path) -> Path:
    """Return a build run whose training films each belong to another patient."""
    run = open_run(StageConfig(name="shuffled", seed=SEED, runs_dir=runs), "build", {"examples": build})
    if not run.finished:
        write_records(run.path / EXAMPLES, shuffled_rows(read_examples(build)))
        run.finish()
    return run.path


def shuffled_rows(examples: list[Example]) -> list[Example]:
    rows: list[Example] = []
    for split in ("train", "dev"):
        whole = [example for example in examples if example.split == split]
        partners = other_patients([example.patient_id for example in whole], SEED)
        rows += [
            example.model_copy(update={"image_paths": whole[i].image_paths, "views": whole[i].views})
            for example, i in zip(whole, partners, strict=True)
        ]
    return rows


def report(name: str, card: Scorecard) -> None:
    print(f"{name}: looks = {card.looking.looks}; {looking_line(card)}")
    for metric, estimate in card.looking.share_explained.items():
        print(f"  {metric}: {card.metrics[metric].value:.3f}; explained {estimate}; {card.paired_all[metric]}")
    for probe, result in card.looking.probes.items():
        print(f"  {probe}: {result}")


if __name__ == "__main__":
    main()
