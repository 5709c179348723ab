"""How much memory does the loss take, with full logits and by chunks? Usage: python bench/loss_memory.py [--json OUT]

Each way runs in a process of its own, forward and backward; what is told is how far the process's largest size rises
above what it held before, gradients of the hidden states and of a trained head included.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

WAYS = ("full", "chunked")
BAR = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab-size", type=int, default=150_000)
    parser.add_argument("--hidden-size", type=int, default=576)
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--frozen", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args)))
        return
    results = []
    print(f"vocabulary {args.vocab_size:,}, {args.positions} positions, {args.precision}")
    print(f"{'head':>8} {'full MB':>9} {'chunked MB':>11} {'ratio':>6} {'full s':>7} {'chunked s':>10}  bar {BAR}x")
    for frozen in (True, False):
        found = {way: in_a_process(way, frozen) for way in WAYS}
        ratio = found["full"]["peak_mb"] / found["chunked"]["peak_mb"]
        head = "frozen" if frozen else "trained"
        results.append({"head": head, "ratio": ratio, "passes": ratio >= BAR, **found})
        peaks = f"{found['full']['peak_mb']:9.0f} {found['chunked']['peak_mb']:11.0f}"
        times = f"{found['full']['time_s']:7.2f} {found['chunked']['time_s']:10.2f}"
        print(f"{head:>8} {peaks} {ratio:6.1f} {times}  {'met' if ratio >= BAR else 'MISSED'}")
    if args.json:
        settings = {name: value for name, value in vars(args).items() if name not in ("json", "way", "frozen")}
        args.json.write_text(json.dumps({"settings": settings, "bar": BAR, "rows": results}, indent=1) + "\n")


def in_a_process(way: str, frozen: bool) -> dict[str, float]:
    """Return peak and time of one way, in a process that did nothing else."""
    command = [sys.executable, *sys.argv, "--way", way, *(["--frozen"] if frozen else [])]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Take one loss and its gradients, and return how far memory rose."""
    import torch  # noqa: PLC0415 - only the measured process needs it
    import torch.nn.functional as F  # noqa: N812, PLC0415
    from torch import nn  # noqa: PLC0415

    from radlet.training.losses.language import next_token_cross_entropy  # noqa: PLC0415

    torch.manual_seed(0)
    head = nn.Linear(args.hidden_size, args.vocab_size, bias=False).requires_grad_(not args.frozen)
    hidden = torch.randn(1, args.positions + 1, args.hidden_size, requires_grad=True)
    labels = torch.randint(0, args.vocab_size, (1, args.positions + 1))
    torch.mm(torch.ones(64, 64, dtype=torch.bfloat16), torch.ones(64, 64, dtype=torch.bfloat16))  # loads the kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
        if args.way == "chunked":
            loss = next_token_cross_entropy(hidden, labels, head)
        else:
            loss = F.cross_entropy(head(hidden[0, :-1]).float(), labels[0, 1:], reduction="sum")
    (loss / args.positions).backward()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"peak_mb": peak, "time_s": time.perf_counter() - started, "loss": loss.item() / args.positions}


if __name__ == "__main__":
    main()
