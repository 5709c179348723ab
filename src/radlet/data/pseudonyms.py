"""Keyed pseudonyms in the place of ids, so that nothing behind `ingest` can be traced without the key."""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from radlet.core.errors import ConfigError
from radlet.core.records import Finding, Study

_OLDEST_TOLD = 90
"""Ages above 89 identify (45 CFR 164.514(b)(2)(i)(C)); older patients are told as 90."""
_MIN_KEY_BYTES = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Turns ids into pseudonyms by HMAC-SHA-256, cut to 80 bits: the same id and key always give the same one."""

    key: bytes

    def of(self, kind: str, raw_id: str) -> str:
        """Return the pseudonym of an id; `kind` keeps equal patient and study ids apart."""
        return hmac.new(self.key, f"{kind}:{raw_id}".encode(), hashlib.sha256).hexdigest()[:20]

    def study(self, study: Study) -> Study:
        """Return the study with every id replaced, and ages above 89 told as 90."""
        image_ids = {image.image_id: self.of("image", image.image_id) for image in study.images}
        return study.model_copy(
            update={
                "study_id": self.of("study", study.study_id),
                "patient_id": self.of("patient", study.patient_id),
                "prior_study_id": self.of("study", study.prior_study_id) if study.prior_study_id else None,
                "age_years": None if study.age_years is None else min(study.age_years, _OLDEST_TOLD),
                "images": tuple(
                    image.model_copy(update={"image_id": image_ids[image.image_id]}) for image in study.images
                ),
                "questions": tuple(
                    question.model_copy(update={"image_ids": tuple(self.of("image", i) for i in question.image_ids)})
                    for question in study.questions
                ),
                "truth": None
                if study.truth is None
                else tuple(_renamed(finding, image_ids) for finding in study.truth),
            }
        )


def load_or_make_key(path: Path, may_make: bool) -> bytes:
    """Return the key in a file; make a random one, readable by its owner only, where there is none yet.

    Raises:
        ConfigError: The file is missing and `may_make` is false, cannot be read, or is too short to be a key.
    """
    if may_make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        except FileExistsError:
            pass  # another run made it in the meantime; there is one key
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"pseudonym_key_file {path}: cannot be read ({type(error).__name__}). Give a file that can."
        ) from None
    if len(key) < _MIN_KEY_BYTES:
        raise ConfigError(f"pseudonym_key_file {path}: holds {len(key)} bytes; a key needs at least {_MIN_KEY_BYTES}.")
    return key


def _renamed(finding: Finding, image_ids: dict[str, str]) -> Finding:
    boxes = {image_ids[image_id]: box for image_id, box in finding.boxes.items() if image_id in image_ids}
    return finding.model_copy(update={"boxes": boxes})
