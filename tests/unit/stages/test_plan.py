"""Plans: what the recipes say is what is reckoned with, on any machine, with no weights on disk."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.fixtures.tiny import make_report_model
from typer.testing import CliRunner

from radlet.cli import app
from radlet.cli.planning import show_plan
from radlet.core.config import load_config
from radlet.core.console import make_console
from radlet.core.errors import ConfigError
from radlet.models.costs import Cost, Operation
from radlet.models.language import LanguageModelConfig
from radlet.stages.align import AlignConfig
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.machines import Machine, known_machines, machine, with_prices
from radlet.stages.plan import plan_reports, plan_serving, plan_stages
from radlet.stages.plan_inputs import Recipes, Workload
from radlet.stages.plan_results import StagePlan, reading
from radlet.stages.pretrain import PretrainConfig
from radlet.training.precision import Precision

CARD = "l4-24gb"
PRECISION: Precision = "fp32"


CPU = Machine("x", "x", 1, 1e9, 200.0, 100.0, 10.0, 20.0, 0.5, False, 1.0, None, 0.0, 3.0, 2.0, 0.1, 1000.0)


@cache
def finetune_plan(tokens: int = 80, num_rows: int = 400, name: str = CARD, checkpointed: bool = False) -> StagePlan:
    """The tuning stage of the tiny recipes."""
    loop = {"micro_batch_size": 4, "precision": "fp32", "checkpoint_activations": checkpointed, "grad_accum_steps": 4}
    workload = Workload(num_rows=num_rows, target_tokens=tokens)
    return plan_reports("finetune", tiny_recipes(training={"loop": loop}), workload, machine(name, PRECISION))


def tiny_recipes(**finetune: object) -> Recipes:
    from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, SETTINGS

    loop = {"micro_batch_size": 4, "precision": "fp32"}
    pretrain = load_config(
        PretrainConfig,
        None,
        examples=Path("e"),
        image=SETTINGS.model_dump(),
        encoder=ENCODER.model_dump(),
        language_model=LANGUAGE_MODEL.model_dump(),
        loop=loop,
    )
    align = load_config(AlignConfig, None, examples=Path("e"), encoder=Path("p"), training={"loop": loop})
    given = {"examples": Path("e"), "checkpoint": Path("a"), "training": {"loop": loop}}
    tuned = load_config(FinetuneConfig, None, **(given | finetune))
    return Recipes(pretrain, align, tuned, LanguageModelConfig.model_validate(LANGUAGE_MODEL.model_dump()))


def test_parameters_are_those_of_the_real_model() -> None:
    stages = {stage.stage: stage for stage in plan_stages(tiny_recipes(), Workload(), machine(CARD, PRECISION))}
    model = make_report_model().model
    # The tokenizer learnt on few reports is smaller than the recipe allows; the plan counts what it allows.
    smaller = 2 * 16 * (400 - model.get_input_embeddings().num_embeddings)
    assert stages["align"].parameters[1] == sum(p.numel() for p in model.parameters()) + smaller
    projector = sum(p.numel() for p in model.model.multi_modal_projector.parameters())
    assert stages["align"].parameters[0] == projector
    assert stages["align"].memory["optimiser"] == 8 * projector
    assert stages["finetune"].parameters[0] > stages["align"].parameters[0]


def test_low_rank_updates_take_less_memory_than_full_tuning() -> None:
    recipes = tiny_recipes(tuning={"kind": "lora", "rank": 2})
    lora = plan_reports("finetune", recipes, Workload(), machine(CARD, PRECISION))
    assert lora.memory["optimiser"] < finetune_plan().memory["optimiser"]
    assert lora.parameters[1] > finetune_plan().parameters[1]


def test_more_rows_take_more_steps_and_more_cards_less_time() -> None:
    few, many, several = finetune_plan(), finetune_plan(num_rows=4000), finetune_plan(num_rows=4000, name=f"4x{CARD}")
    assert many.num_steps == 10 * few.num_steps
    assert several.total_s < many.total_s / 3
    assert several.memory == many.memory
    assert several.kwh == pytest.approx(many.kwh, rel=0.1)


def test_activations_grow_with_the_reports_and_shrink_when_they_are_not_kept() -> None:
    short, long, recomputed = (
        finetune_plan(*given).memory["activations"] for given in ((50,), (200,), (200, 400, CARD, True))
    )
    assert long > 1.5 * short
    assert recomputed < long


def test_an_encoder_that_trains_takes_a_backward_pass_and_nothing_is_kept_of_it() -> None:
    place = machine(CARD, PRECISION)
    loop = {"micro_batch_size": 4, "precision": "fp32"}
    parts = ["encoder", "projector", "language_model"]
    trained = plan_reports("finetune", tiny_recipes(train=parts, training={"loop": loop}), Workload(), place)
    frozen = plan_reports("finetune", tiny_recipes(feature_cache={"max_gb": 0}), Workload(), place)
    kept = plan_reports("finetune", tiny_recipes(), Workload(), place)
    assert kept.disk_bytes > 0
    assert kept.once_s == 0  # align left them
    assert plan_reports("align", tiny_recipes(), Workload(), place).once_s > 0
    assert frozen.disk_bytes == trained.disk_bytes == 0
    assert frozen.flops > kept.flops
    assert trained.flops > frozen.flops
    assert trained.memory["activations"] > frozen.memory["activations"]


def test_averaged_and_parted_weights_and_text_alone_are_counted() -> None:
    loop = {"micro_batch_size": 4, "precision": "fp32", "parallel": "fsdp", "ema_decay": 0.9}
    recipes, place = tiny_recipes(training={"loop": loop}), machine(f"2x{CARD}", PRECISION)
    parted = plan_reports("finetune", recipes, Workload(), place)
    assert parted.memory["optimiser"] == 12 * parted.parameters[0] / 2
    assert parted.memory["gradients"] == 4 * parted.parameters[0] / 2
    assert 2 * parted.parameters[1] < parted.memory["weights"] < 4 * parted.parameters[1]
    blind = plan_reports("finetune", tiny_recipes(films="none"), Workload(), place)
    assert blind.disk_bytes == 0
    assert blind.flops < plan_reports("finetune", tiny_recipes(), Workload(), place).flops
    with pytest.raises(ConfigError, match="5 devices cannot share 4 rows"):
        plan_reports("finetune", recipes, Workload(), machine(f"5x{CARD}", PRECISION))


def test_an_operation_takes_as_long_as_its_products_or_its_traffic() -> None:
    products = [Operation(400, True, 1), Operation(400, False, 1), Operation(1, True, 100)]
    others = [Operation(0, False, 100), Operation(0, False, 1, functions=30), Operation(0, False, 1, draws=8)]
    spent = 400 / 200 + 400 / 100 + 100 / 20 + 100 / 10 + 30 / 3 + 8 / 2
    assert CPU.seconds(Cost(products + others)) == pytest.approx(spent + 6 * 0.5)


def test_a_cpu_also_holds_rows_kernels_and_what_no_longer_fits() -> None:
    rows = Workload(num_rows=50, example_bytes=1000)
    loop = {"micro_batch_size": 4, "precision": "bf16"}
    recipes = tiny_recipes(training={"loop": loop})
    planned = plan_reports("finetune", recipes, rows, CPU)
    assert {"rows", "kernels", "kept free"} <= set(planned.memory)
    assert planned.memory["rows"] == 50 * (1000 + recipes.pretrain.image.size_px**2)
    assert planned.memory["kernels"] > 20 * CPU.kernel_bytes
    few = tiny_recipes(training={"loop": loop | {"max_steps": 2}})
    short = plan_reports("finetune", few, rows, replace(CPU, kernel_s=0.0))
    assert short.memory["kernels"] < planned.memory["kernels"]
    assert short.step_s < planned.step_s
    assert "kernels" not in finetune_plan().memory  # a card has them compiled


def test_stages_without_a_recipe_are_not_planned_and_the_run_they_go_on_from_is_read(tmp_path: Path) -> None:
    folder, align, pretrain = (tmp_path / name for name in ("recipes", "align", "pretrain"))
    for made in (folder, align, pretrain):
        made.mkdir()
    (folder / "finetune.toml").write_text('name = "x"\n')
    told = tiny_recipes()
    (pretrain / "config.json").write_text(told.pretrain.model_dump_json())
    (align / "config.json").write_text(told.align.model_copy(update={"encoder": pretrain}).model_dump_json())
    with pytest.raises(ConfigError, match=r"has no align\.toml.*finetune\.checkpoint=RUN"):
        Recipes.of(folder, [], None)
    recipes = Recipes.of(folder, [f"finetune.checkpoint={align}"], None)
    assert recipes.stages == ("finetune",)
    assert recipes.pretrain.image == told.pretrain.image
    assert [stage.stage for stage in plan_stages(recipes, Workload(), machine(CARD, PRECISION))] == ["finetune"]
    with pytest.raises(ConfigError, match="no recipe to plan"):
        Recipes.of(align, [], None)
    # The remedy that is named when a run has moved is taken.
    (align / "config.json").write_text(told.align.model_copy(update={"encoder": tmp_path / "gone"}).model_dump_json())
    with pytest.raises(ConfigError, match=r"align\.encoder=RUN"):
        Recipes.of(folder, [f"finetune.checkpoint={align}"], None)
    moved = Recipes.of(folder, [f"finetune.checkpoint={align}", f"align.encoder={pretrain}"], None)
    assert moved.pretrain.image == told.pretrain.image


@pytest.mark.parametrize("told", ['{"model_type": "llava"}', "[1]"], ids=["checkpoint", "no table"])
def test_a_folder_that_is_no_run_is_refused_with_the_way_out(tmp_path: Path, told: str) -> None:
    (tmp_path / "finetune.toml").write_text('name = "x"\n')
    (tmp_path / "config.json").write_text(told)
    with pytest.raises(ConfigError, match=r"is no run of it either.*finetune\.checkpoint=RUN"):
        Recipes.of(tmp_path, [f"finetune.checkpoint={tmp_path}"], None)


def test_a_model_that_does_not_fit_is_said() -> None:
    place = machine(CARD, PRECISION)
    planned = finetune_plan()
    assert planned.fits
    assert planned.peak_bytes == sum(planned.memory.values())
    assert not replace(planned, machine=replace(place, memory_bytes=planned.peak_bytes)).fits


def test_drafting_reads_every_weight_at_every_token() -> None:
    place = machine(CARD, PRECISION)
    plan = plan_serving(tiny_recipes(), Workload(new_tokens=10), place)
    assert plan.draft_s == pytest.approx(plan.first_token_s + 9 * plan.token_s)
    assert plan.token_s >= 0.5 * plan.memory["weights"] / place.weights_bandwidth


def test_unknown_names_are_told_apart() -> None:
    with pytest.raises(ConfigError, match="a100-80gb"):
        machine("a100-80", PRECISION)
    with pytest.raises(ConfigError, match="unknown"):
        machine("0xa100-80gb", PRECISION)
    with pytest.raises(ConfigError, match="llama-7b"):
        Recipes.of(Path("recipes/tiny"), [], "llama-8b")
    assert "this" in known_machines()


def test_a_language_model_needs_its_config_and_no_weights(tmp_path: Path) -> None:
    recipes = tiny_recipes()
    missing = Recipes(recipes.pretrain, recipes.align, recipes.finetune, LanguageModelConfig(path=tmp_path))
    with pytest.raises(ConfigError, match=r"no config\.json"):
        plan_reports("align", missing, Workload(), machine(CARD, PRECISION))
    make_report_model().model.config.text_config.save_pretrained(tmp_path)
    assert plan_reports("align", missing, Workload(), machine(CARD, PRECISION)).num_steps


def test_prices_and_power_are_ones_own() -> None:
    place = with_prices(machine(CARD, PRECISION), 1.5, 100.0)
    planned = replace(finetune_plan(), machine=place)
    assert planned.usd == pytest.approx(1.5 * planned.total_s / 3600)
    assert planned.kwh == pytest.approx(100 * planned.total_s / 3.6e6)


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "500 ms"), (90, "1.5 min"), (3 * 86400, "3.0 days")])
def test_times_are_said_in_their_unit(seconds: float, said: str) -> None:
    assert reading(seconds) == said


def test_the_command_writes_json() -> None:
    told = json.loads(
        CliRunner().invoke(app, ["plan", "recipes/tiny", "--machine", CARD, "--rows", "100", "--json"]).stdout
    )
    assert [stage["stage"] for stage in told["stages"]] == ["pretrain", "align", "finetune"]
    assert told["workload"]["num_rows"] == 100
    assert told["machine"]["name"] == CARD


def test_the_table_names_stages_and_parts(capsys: pytest.CaptureFixture[str]) -> None:
    place = machine(CARD, PRECISION)
    recipes = tiny_recipes()
    show_plan(
        plan_stages(recipes, Workload(), place),
        plan_serving(recipes, Workload(), place),
        place,
        make_console(stderr=False),
    )
    table = capsys.readouterr().out
    assert "finetune" in table
    assert "activations" in table
