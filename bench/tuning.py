"""What each tuning costs on a real language model: trained share, bytes of base and adapter, peak memory, time.

    python bench/tuning.py LANGUAGE_MODEL_DIR [--steps 3] [--only lora,qlora-int8]

A small untrained tower and a projector stand before the language model. Each row is a process of its own, which loads
the joined checkpoint, applies the tuning and makes optimiser steps on noise at the sizes told below, by the code that
the stages use. Memory is the process's largest resident size from the first step on, whole (ru_maxrss) in brackets.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from radlet import __version__
from radlet.core.config import load_config
from radlet.data.images import ImageSettings
from radlet.models.adapters import save_adapter
from radlet.models.encoders import HybridEncoderConfig
from radlet.models.freezing import count_by_part, set_trainable
from radlet.models.frozen_weights import hold_weights
from radlet.models.language import load_language_model
from radlet.models.report_model import ModelCard, assemble, load_report_model, save_report_model
from radlet.models.tunings import TUNINGS
from radlet.training.checkpointing import checkpoint_blocks
from radlet.training.losses.language import next_token_cross_entropy
from radlet.training.optimizer import build_optimizer
from radlet.training.precision import autocast, lay_out

BATCH, TOKENS = 2, 256
RANK = {"rank": 16, "alpha": 32}
ROWS = {
    "full": ("full", {}, "fp32", False),
    "full, checkpointed": ("full", {}, "fp32", True),
    "lora": ("lora", RANK, "fp32", False),
    "lora, bf16": ("lora", RANK, "bf16", False),
    "lora, checkpointed": ("lora", RANK, "fp32", True),
    "lora, bf16, checkpointed": ("lora", RANK, "bf16", True),
    "dora": ("dora", RANK, "fp32", False),
    "qlora-int8": ("qlora", RANK | {"quantisation": "int8"}, "fp32", False),
    "qlora-int8, bf16, checkpointed": ("qlora", RANK | {"quantisation": "int8"}, "bf16", True),
    "qlora-nf4": ("qlora", RANK | {"quantisation": "nf4"}, "fp32", False),
    "qlora-nf4, bf16, checkpointed": ("qlora", RANK | {"quantisation": "nf4"}, "bf16", True),
}


def peak_bytes() -> int:
    """Return the largest resident size since the last `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def language_model_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of the frozen and trained base weights of the blocks' layers and of everything beside them."""
    inner = model.get_submodule("model.language_model")
    return sum(p.numel() * p.element_size() for name, p in inner.named_parameters() if "lora_" not in name)


def measure(row: str, checkpoint: Path, steps: int) -> dict[str, float]:
    method, settings, weights, checkpointed = ROWS[row]
    report_model = load_report_model(checkpoint)
    model = report_model.model
    before = language_model_bytes(model)
    set_trainable(model, {"projector"})
    tuning = load_config(TUNINGS[method], None, **settings)
    tuning.apply(model)
    hold_weights(model, weights)
    lay_out(model, torch.device("cpu"))
    if checkpointed:
        checkpoint_blocks(model)
    optimizer = build_optimizer(model, 1e-4, 0.0)
    model.train()
    model.get_submodule("model.vision_tower").eval()
    generator = torch.Generator().manual_seed(0)
    films = torch.randn(BATCH, 3, 224, 224, generator=generator)
    ids = torch.randint(100, 1000, (BATCH, TOKENS), generator=generator)
    ids[:, : report_model.num_image_tokens] = model.config.image_token_id
    labels = ids.clone()
    labels[:, : TOKENS // 2] = -100
    forget_peak()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        with autocast(torch.device("cpu"), "bf16"):
            hidden = model.model(input_ids=ids, pixel_values=films, use_cache=False).last_hidden_state
            loss = next_token_cross_entropy(hidden, labels, model.lm_head) / (labels != -100).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
    trainable, total = count_by_part(model)["language_model"]
    found = {
        "trainable": trainable,
        "share": trainable / (total if method == "full" else total - trainable),
        "base_mb_before": before / 1e6,
        "base_mb": language_model_bytes(model) / 1e6,
        "peak_mb": peak_bytes() / 1e6,
        "maxrss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "step_s": min(times),
    }
    if tuning.adapts:
        with tempfile.TemporaryDirectory() as folder:
            save_adapter(report_model, tuning, "bench", Path(folder))
            found["adapter_mb"] = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    return found


def join(language_model: Path, folder: Path) -> None:
    torch.manual_seed(0)
    model, tokenizer = load_language_model(language_model)
    image = ImageSettings(size_px=224)
    encoder = HybridEncoderConfig(widths=(16, 32, 64, 64), depths=(1, 1, 1, 1)).build(image.size_px)
    card = ModelCard(
        radlet_version=__version__,
        kind="report_model",
        image=image.model_dump(mode="json"),
        image_digest=image.digest,
    )
    report_model = assemble(encoder, model, tokenizer, card)
    report_model.model.float()
    save_report_model(report_model, folder, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language_model", type=Path, nargs="?", help="folder of a language model; without one, nothing")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", help="rows, with semicolons")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measure(given.row, given.language_model, given.steps)))
        return
    if given.language_model is None:
        print("skipped: give the folder of a language model")
        return
    print(f"batch {BATCH}, {TOKENS} tokens, bf16 autocast, {torch.get_num_threads()} threads, {given.steps} steps")
    print(
        "| tuning | trains | share | base MB | adapter MB | peak MB (whole) | s a step |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        join(given.language_model, Path(folder))
        for row in given.only.split(";") if given.only else ROWS:
            command = [sys.executable, __file__, folder, "--row", row, "--steps", str(given.steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            f = json.loads(done.stdout)
            print(
                f"| {row} | {f['trainable']:,} | {f['share']:.2%} | {f['base_mb_before']:.0f} → {f['base_mb']:.0f} | "
                f"{f['adapter_mb'] if 'adapter_mb' in f else float('nan'):.1f} | "
                f"{f['peak_mb']:.0f} ({f['maxrss_mb']:.0f}) | {f['step_s']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
