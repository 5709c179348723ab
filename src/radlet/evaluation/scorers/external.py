"""A metric's package in a Python of its own: a process that is fed pairs of texts and answers with values.

For packages that cannot be installed beside radlet's. What goes wrong with a pair costs that pair: it has no value, and
the reason is counted. What goes wrong before the first pair is an error.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from radlet.core.errors import CheckpointError
from radlet.evaluation.scorers.base import Pair, PairScorer, Values
from radlet.evaluation.scorers.outside import worker

_MOST_LOST = 3
"""So many pairs in a row without an answer mean that there will be none for any."""
_QUIET = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1"),
    **dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "WANDB_DISABLED"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}


class _EndedError(Exception):
    """The process gave no answer; the message says why."""


class ExternalScorer(PairScorer):
    """One family's package in one process, started anew when it ends or hangs.

    Args:
        family: What `outside.worker` calls it.
        folder: Its weights.
        python: The Python that has the package.
        timeout_s: How long a start or a batch may take.

    Raises:
        CheckpointError: The package or the weights cannot be loaded.
    """

    def __init__(self, family: str, folder: Path, python: Path | None, timeout_s: float) -> None:
        self._family, self._timeout_s = family, timeout_s
        self._command = [str(python or sys.executable), str(Path(worker.__file__)), family, str(folder.resolve())]
        self._answers: Queue[str | None] = Queue()
        self._lost = 0
        self._process: subprocess.Popen[str] | None = self._start()

    def score(self, pairs: Sequence[Pair]) -> list[Values]:
        """Return the values of every pair; where a batch ends the process, each pair is asked alone."""
        if self._lost >= _MOST_LOST:
            return [f"not asked, after {_MOST_LOST} pairs in a row had no answer"] * len(pairs)
        try:
            values = self._ask(pairs)
        except _EndedError as error:
            if len(pairs) > 1:
                return [values for pair in pairs for values in self.score([pair])]
            self._lost += 1
            return [str(error)]
        self._lost = 0
        return values

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _end(self._process)
        self._process = None

    def _ask(self, pairs: Sequence[Pair]) -> list[Values]:
        self._process = self._process or self._start()
        try:
            _write(self._process, json.dumps(list(pairs)))
            found = self._answer(self._process)
        except _EndedError:
            self.close()
            raise
        return [answer["values"] if "values" in answer else str(answer.get("missing")) for answer in found]

    def _start(self) -> "subprocess.Popen[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | _QUIET
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold texts
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self._answers = Queue()
        Thread(target=_forward, args=(process.stdout, self._answers), daemon=True).start()
        try:
            answer = self._answer(process)
        except _EndedError as error:
            answer = {"failed": str(error)}
        if "ready" not in answer:
            _end(process)
            raise CheckpointError(
                f"{self._family}: cannot be loaded ({answer.get('failed')}). See docs/weights.md for what its folder "
                "holds and which Python can run it."
            )
        return process

    def _answer(self, process: "subprocess.Popen[str]") -> Any:
        try:
            line = self._answers.get(timeout=self._timeout_s)
        except Empty:
            raise _EndedError(f"no answer within {self._timeout_s:g} s") from None
        if line is None:
            raise _EndedError(f"the package's process ended (status {process.wait()})")
        return json.loads(line)


def _write(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is None:
        raise _EndedError("the package's process takes nothing")
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except OSError:
        raise _EndedError("the package's process ended") from None


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            with suppress(OSError):  # what had not been written yet cannot be any more
                stream.close()


def _forward(stream: Any, answers: "Queue[str | None]") -> None:
    """Pass lines on, then None: a queue, unlike a pipe, can be waited on for a time."""
    with suppress(ValueError):  # closed meanwhile
        for line in stream:
            answers.put(line)
    answers.put(None)
