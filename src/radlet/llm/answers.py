"""Answers of the language model, kept on disk so that no question is paid for twice.

One SQLite file under the folder of the runs, readable by its owner only because it holds report text. An answer is kept
the moment it arrives: a run that is killed asks none of its answered questions again.
"""

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """What a model answered to one question."""

    model_config = ConfigDict(frozen=True)

    text: str
    refusal: bool = False
    """Whether the server marked the answer as a refusal."""
    cut: bool = False
    """Whether the answer ended at the limit of tokens."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


def question_key(question: dict[str, Any]) -> str:
    """Return the digest of all that decides an answer: model, parameters, schema, prompt and text."""
    return hashlib.sha256(json.dumps(question, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class AnswerCache:
    """Answers by the digest of their question; use as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made before SQLite does it, which would leave it readable to all; its side files take the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, timeout=60.0, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, key: str) -> Answer | None:
        """Return the answer kept under a key."""
        row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return Answer.model_validate_json(row[0]) if row else None

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; the first one of a key stays."""
        self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, answer.model_dump_json()))
