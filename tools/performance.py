"""Write docs/performance.md from what `make bench` measured: python tools/performance.py."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"

DEFAULT_ENGINE = "openvino int8"
"""What `radlet export` takes unless told otherwise: the row that the bars are of."""
RIVAL = "llama-cpp Q8_0"
"""The row whose file llama.cpp's own benchmark read, in about as many bits as the default engine."""

HEAD = """# How fast, and how large

Written from `bench/results/` by `make bench`; nothing here is typed by hand. Each table is one run on one machine, alternatives side
by side, so the ratios are worth more than the figures. Met and missed bars stand as they came out.
"""


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(passes: bool) -> str:
    """Say whether a bar was met."""
    return "met" if passes else "**missed**"


def training(found: dict[str, Any]) -> str:
    """Return the section on training beside transformers' Trainer."""
    rows = [
        [
            f"{row['size']} {row['stage']} {row['precision']}",
            f"{row['samples_per_s'][row['best_radlet']]:,.3g}",
            f"{row['samples_per_s'][row['best_trainer']]:,.3g}",
            f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
            f"{row['bar']:g}x {verdict(row['passes'])}",
            f"{row['utilisation']:.0%} of {row['peak_gflop_per_s']:,.0f} GFLOP/s, {verdict(row['utilisation_passes'])}",
            f"{row['largest_loss_difference']:.4f}",
        ]
        for row in found["rows"]
    ]
    names = [
        "",
        "radlet, rows/s",
        "Trainer, rows/s",
        "ratio",
        "bar",
        "of the peak (bar 45 %)",
        "loss differs by at most",
    ]
    return f"""## Training

`python bench/training.py`: {found["threads"]} thread(s). The Trainer has its best settings: length groups, the faster of two attention kernels, autocast, a fused optimiser, films in memory. Of each side the faster counts, compiled or not (30M: as written only). In `align` and `finetune` the encoder is
frozen; radlet keeps what it sees, the Trainer cannot.

{table(names, rows)}

![Loss against wall time](images/training_loss.svg)
"""


def loss_memory(found: dict[str, Any]) -> str:
    """Return the section on the memory of the loss."""
    settings = found["settings"]
    rows = [
        [
            row["head"],
            f"{row['full']['peak_mb']:,.0f} MB",
            f"{row['chunked']['peak_mb']:,.0f} MB",
            f"{row['ratio']:.1f}x",
            f"{found['bar']:g}x {verdict(row['passes'])}",
        ]
        for row in found["rows"]
    ]
    return f"""## Memory of the loss

`python bench/loss_memory.py`: vocabulary {settings["vocab_size"]:,}, {settings["positions"]:,} supervised positions, {settings["precision"]}.

{table(["head", "full logits", "by chunks", "ratio", "bar"], rows)}
"""


def inference(found: dict[str, Any]) -> str:
    """Return the section on the engines."""
    rival = {
        row["size"]: row["llama_bench"] for row in found["rows"] if row["engine"] == RIVAL and "llama_bench" in row
    }

    def cells(row: dict[str, Any]) -> list[str]:
        if "error" in row:
            return [row["size"], row["engine"], row["error"], *[""] * 6]
        batches = row["batch_16"] / row["batch_1"]
        bench = row.get("llama_bench", rival.get(row["size"]) if row["engine"] == DEFAULT_ENGINE else None)
        beside = None if bench is None else row["batch_1"] / bench

        def judged(passes: bool) -> str:
            return f" {verdict(passes)}" if row["engine"] == DEFAULT_ENGINE else ""

        return [
            row["size"],
            row["engine"],
            f"{row['first_s'] * 1000:,.0f} ms",
            f"{row['batch_1']:,.1f}",
            f"{row['batch_16']:,.1f} ({batches:.1f}x{judged(batches >= 3)})",
            f"{row['weights_mb']:,.0f} MB",
            f"{row['memory_mb']:,.0f} MB",
            f"{row['of_limit']:.0%}{judged(row['of_limit'] >= 0.6)}",
            "" if beside is None else f"{beside:.2f}x{judged(beside >= 0.9)}",
        ]

    names = ["size", "engine", "first token", "tokens/s, batch 1", "batch 16", "file", "process", "of the limit"]
    return f"""## Drafting

`python bench/inference.py`: random weights, {found["threads"]} thread(s), memory read at {found["bandwidth_gb_s"]:.1f} GB/s. The limit is that bandwidth over
the bytes of the language model's file, which a token reads; a file that fits into the cache can be read faster than memory. Bars: the
default engine, {DEFAULT_ENGINE}, at least 0.9x of llama.cpp's own `llama-bench` ({RIVAL} of the same weights; other rows: the same file)
and 60 % of the limit; batch 16 at least 3x batch 1.

{table([*names, "of llama-bench"], map(cells, found["rows"]))}
"""


def plan(found: dict[str, Any]) -> str:
    """Return the section on plans beside measurements."""
    rows = [
        [
            row["size"],
            f"{row['planned_step_s']:.2f} s",
            f"{row['measured_step_s']:.2f} s",
            f"{row['time_ratio']:.2f} {verdict(abs(row['time_ratio'] - 1) <= 0.3)}",
            f"{row['planned_bytes'] / 1e9:.2f} GB",
            f"{row['measured_bytes'] / 1e9:.2f} GB",
            f"{row['memory_ratio']:.2f} {verdict(abs(row['memory_ratio'] - 1) <= 0.15)}",
        ]
        for row in found["sizes"]
    ]
    names = [
        "finetune",
        "planned step",
        "measured",
        "ratio (bar 30 %)",
        "planned memory",
        "measured",
        "ratio (bar 15 %)",
    ]
    return f"""## Plans beside measurements

`python bench/plan.py DEMO`: what `radlet plan` said of this machine, and what tuning then took.

{table(names, rows)}
"""


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "training": training,
    "loss_memory": loss_memory,
    "inference": inference,
    "plan": plan,
}
"""File of results -> its section, in the order of the page."""


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            parts.append(section(json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)
