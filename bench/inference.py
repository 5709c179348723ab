"""How fast each engine drafts, beside what memory allows: python bench/inference.py [--sizes 10m 300m 1b] [--json OUT]

One table in one run, the same random weights for every engine: tokens a second at batch 1 and 16, time to the first
token, peak memory of a process of its own. Beside it the memory bandwidth, measured by reading with all threads, and
the share reached of the tokens a second that it allows: bandwidth / bytes of the language model's file, every byte of
which a token reads.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import torch

from radlet import __version__
from radlet.core.console import Progress
from radlet.data.images import ImageSettings
from radlet.inference.engines import ENGINES
from radlet.inference.engines.base import Sampling
from radlet.inference.exporters import EXPORTERS
from radlet.inference.exports import EXPORT, Export, Source, read_export, write_export, write_frame
from radlet.models.encoders import HybridEncoderConfig
from radlet.models.language import LanguageModelConfig
from radlet.models.report_model import ModelCard, assemble, load_report_model, save_report_model

SIZES = {
    "10m": (256, 1024, 8, 4, 4),
    "300m": (960, 2560, 28, 15, 5),
    "1b": (2048, 5632, 22, 32, 4),
}
"""Width, width of the feed-forward layers, layers, heads, key-value heads; the last two as SmolLM2-360M, TinyLlama."""
ENGINES_OF = {
    "transformers": ("transformers", {}),
    "llama-cpp Q8_0": ("llama-cpp", {"quantization": "Q8_0"}),
    "llama-cpp Q4_0": ("llama-cpp", {"quantization": "Q4_0"}),
    "openvino int8": ("openvino", {"quantization": "int8"}),
    "openvino int4": ("openvino", {"quantization": "int4"}),
    "vllm": ("vllm", {"dtype": "bfloat16", "server": {"url": "http://127.0.0.1:8017/v1", "num_concurrent": 32}}),
}
"""Rows of the table: engine and options of its export."""
PACKAGES = {"llama-cpp": ("xllamacpp", "gguf"), "openvino": ("openvino",)}
"""What an engine needs beside the extra `models`; the extra that brings it has the engine's name."""
TOKENS = 32
"""Length of the answers that are timed; 64 image tokens and the words of the prompt stand before them."""
WORDS = ("The lungs are clear.", "There is a small left pleural effusion.", "The heart is enlarged.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument(
        "--engines", nargs="*", choices=ENGINES_OF, default=[name for name in ENGINES_OF if name != "vllm"]
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--llama-bench", type=Path, help="llama.cpp's own llama-bench, run on the same files")
    parser.add_argument("--vllm", help="vLLM's program in its own environment; without it vLLM is left out")
    parser.add_argument("--work", type=Path, help="where the models are made and kept (default: a temporary folder)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.make:
        make(options.make[0], Path(options.make[1]), options.engines)
    elif options.measure:
        options.measure[1].write_text(json.dumps(measure(options.measure[0], options.repeats)))
    elif options.work:
        table(options, options.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table(options, Path(folder))


def table(options, work):
    bandwidth = read_bandwidth()
    rows = []
    print(f"{options.threads} threads, memory read at {bandwidth / 1e9:.1f} GB/s")
    for size in options.sizes:
        # Of 1b by quantised weights alone.
        labels = [label for label in options.engines if size != "1b" or label not in ("transformers", "vllm")]
        run("--make", size, work / size, "--engines", *(label for label in labels if not lacking(options, label)))
        for label in labels:
            folder = work / size / label.replace(" ", "-")
            reason = lacking(options, label)
            row = {"size": size, "engine": label} | ({"error": reason} if reason else child(options, folder))
            if "error" not in row:
                row |= beside(options, folder, row, bandwidth)
            rows.append(row)
            print(line(row), flush=True)
    if options.json:
        found = {
            "threads": options.threads,
            "bandwidth_gb_s": bandwidth / 1e9,
            "load": os.getloadavg()[0],
            "rows": rows,
        }
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def line(row):
    if "error" in row:
        return f"{row['size']:>5} {row['engine']:16} not measured: {row['error']}"
    text = (
        f"{row['size']:>5} {row['engine']:16} first {row['first_s'] * 1000:7.0f} ms"
        f"  batch 1 {row['batch_1']:7.1f} tok/s"
        f"  batch 16 {row['batch_16']:7.1f} tok/s ({row['batch_16'] / row['batch_1']:.1f}x)  {row['memory_mb']:6.0f} MB"
        f"  file {row['weights_mb']:6.1f} MB  {100 * row['of_limit']:4.0f} % of the limit"
    )
    if "llama_bench" in row:
        text += f"  llama-bench {row['llama_bench']:.1f} tok/s ({row['batch_1'] / row['llama_bench']:.2f}x)"
    return text


def lacking(options, label):
    """Return what an engine lacks to run here; None if nothing."""
    engine = ENGINES_OF[label][0]
    missing = [name for name in PACKAGES.get(engine, ()) if importlib.util.find_spec(name) is None]
    if missing:
        return f'{", ".join(missing)} is not installed: pip install "radlet[{engine}]"'
    if engine == "vllm" and not options.vllm:
        return "needs --vllm PROGRAM"
    return None


def read_bandwidth():
    """Return bytes a second that all threads together read from memory: the best of ten sums over half a gigabyte."""
    numbers = torch.ones(1 << 27)
    best = 0.0
    for _ in range(10):
        start = time.perf_counter()
        numbers.sum()
        best = max(best, numbers.nbytes / (time.perf_counter() - start))
    return best


def run(*arguments):
    subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)


def make(size, work, labels):
    """Make a model with random weights once, and every export of it."""
    missing = [label for label in labels if not (work / label.replace(" ", "-") / EXPORT).exists()]
    if not missing:
        return
    report_model = random_model(size)
    for label in missing:
        name, values = ENGINES_OF[label]
        folder = work / label.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        if name == "transformers":
            save_report_model(report_model, folder / "checkpoint", None)
        else:
            EXPORTERS[name](**values).write(report_model, folder, Progress(quiet=True))
            write_frame(report_model, folder)
        source = Source(path=folder, digest="random weights")
        tokens, ends = report_model.num_image_tokens, report_model.end_token_ids
        export = Export(engine=name, options=values, source=source, num_image_tokens=tokens, end_token_ids=ends)
        write_export(export, folder)


def random_model(size):
    torch.manual_seed(0)
    width, inner, layers, heads, key_heads = SIZES[size]
    shape = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
    }
    language_model, tokenizer = LanguageModelConfig(options=shape, vocab_size=2048).build(lambda: WORDS * 20)
    settings = ImageSettings(size_px=128)
    card = ModelCard(
        radlet_version=__version__,
        kind="report_model",
        image=settings.model_dump(mode="json"),
        image_digest=settings.digest,
    )
    return assemble(HybridEncoderConfig().build(128), language_model, tokenizer, card)


def measure(folder, repeats):
    """Return what one engine does; its process does nothing else."""
    export = Export.model_validate_json((folder / EXPORT).read_text())
    if export.engine == "transformers":
        model = load_report_model(folder / "checkpoint")
        engine = ENGINES[export.engine](model)
    else:
        model = read_export(folder)
        engine = ENGINES[export.engine].load(model)
    prompt = model.encode_prompt(model.card.prompt.render(1, "Cough and fever."), model.card.prompt)
    side = model.card.image["size_px"]
    films = torch.from_numpy(np.random.default_rng(0).normal(size=(16, 3, side, side)).astype(np.float32))

    def best(rows, tokens):
        times = []
        for _ in range(repeats + 1):  # the first warms up
            start = time.perf_counter()
            written = engine.generate([prompt] * rows, None, films[:rows], Sampling(max_new_tokens=tokens))
            times.append(time.perf_counter() - start)
        assert all(len(answer) == tokens for answer in written), "an answer ended early"
        return min(times[1:])

    found = {}
    for rows in (1, 16):
        first = best(rows, 1)
        found[f"batch_{rows}"] = rows * (TOKENS - 1) / (best(rows, TOKENS) - first)
        if rows == 1:
            found["first_s"] = first
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return found | {"memory_mb": int(status.split("VmHWM:")[1].split()[0]) / 1024}


def child(options, folder):
    """Measure one engine in a process of its own, with its server around it if it has one."""
    server = None
    if (folder / "serve.sh").exists():
        server = start_server(folder, options.vllm)
        if server is None:
            return {"error": "its server did not start: see serve.log in its folder under --work"}
    try:
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [sys.executable, __file__, "--measure", str(folder), out.name]
            command += ["--threads", str(options.threads), "--repeats", str(options.repeats)]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                return {"error": done.stderr.strip().splitlines()[-1][:200]}
            found = json.loads(Path(out.name).read_text())
        if server:
            found["memory_mb"] += memory_of(server)
        return found
    finally:
        if server:
            server.terminate()
            server.wait(60)


def start_server(folder, program):
    """Return vLLM's process once it answers; None if it ends, or does not in ten minutes."""
    environment = os.environ | {"VLLM": program, "VLLM_CPU_KVCACHE_SPACE": "1"}
    log = (folder / "serve.log").open("w")
    server = subprocess.Popen(["sh", str(folder / "serve.sh")], env=environment, stdout=log, stderr=log)
    for _ in range(600):
        time.sleep(1)
        try:
            with urllib.request.urlopen("http://127.0.0.1:8017/health"):
                return server
        except OSError:
            if server.poll() is not None:
                break
    server.kill()
    return None


def memory_of(server):
    import psutil

    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in processes) / 2**20


def beside(options, folder, row, bandwidth):
    """Return what memory allows, and what llama.cpp's own benchmark reaches on the same file."""
    names = ("language_model.gguf", "language_model.bin", "model/model.safetensors", "checkpoint/model.safetensors")
    file = next(folder / name for name in names if (folder / name).exists())
    size = file.stat().st_size
    found = {"weights_mb": size / 1e6, "of_limit": row["batch_1"] * size / bandwidth}
    if file.suffix == ".gguf" and options.llama_bench:
        command = [
            options.llama_bench,
            "-m",
            file,
            "-p",
            "0",
            "-n",
            str(TOKENS),
            "-t",
            str(options.threads),
            "-o",
            "json",
        ]
        done = subprocess.run(
            [*map(str, command), "-r", str(options.repeats)], capture_output=True, text=True, check=True
        )
        found["llama_bench"] = max(json.loads(done.stdout)[-1]["samples_ts"])
    return found


if __name__ == "__main__":
    main()
