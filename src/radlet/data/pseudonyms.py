"""Keyed pseudonyms in the place of ids, so that nothing behind `ingest` can be traced without the key."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from radlet.core.errors import ConfigError
from radlet.core.records import Finding, Study

_OLDEST_TOLD = 90
"""Ages above 89 identify (45 CFR 164.514(b)(2)(i)(C)); older patients are told as 90."""
_MIN_KEY_BYTES = 16
_PER_YEAR = {"Y": 1, "M": 12, "W": 52, "D": 365}


@dataclass(frozen=True)
class Pseudonyms:
    """Turns ids into pseudonyms by HMAC-SHA-256, cut to 80 bits: the same id and key always give the same one."""

    key: bytes

    def of(self, kind: str, raw_id: str) -> str:
        """Return the pseudonym of an id; `kind` keeps equal patient and study ids apart."""
        return hmac.new(self.key, f"{kind}:{raw_id}".encode(), hashlib.sha256).hexdigest()[:20]

    def uid(self, raw_uid: str) -> str:
        """Return the pseudonym of a UID, itself a UID of the form 2.25 (PS3.5 B.2), by 122 bits of HMAC-SHA-256."""
        digest = bytearray(hmac.new(self.key, f"uid:{raw_uid}".encode(), hashlib.sha256).digest()[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80  # a UUID of version 8 (RFC 9562)
        return f"2.25.{int.from_bytes(digest, 'big')}"

    def days_back(self, patient_id: str, whole_weeks: bool) -> int:
        """Return by how many days, 1 to 365, the dates of a patient are moved back; or 7 to 364 in whole weeks."""
        number = int.from_bytes(hmac.new(self.key, f"days:{patient_id}".encode(), hashlib.sha256).digest(), "big")
        return 7 * (1 + number % 52) if whole_weeks else 1 + number % 365

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


def told_age(age: str) -> str:
    """Return an Age String (PS3.5 6.2, AS) with ages above 89 told as 90; empty when it is none."""
    if not re.fullmatch(r"\d{3}[DWMY]", age):
        return ""
    return f"{_OLDEST_TOLD:03d}Y" if int(age[:3]) > _OLDEST_TOLD * _PER_YEAR[age[3]] - 1 else age


def load_or_make_key(path: Path, may_make: bool) -> bytes:
    """Return the key in a file; make a random one, readable by its owner only, where there is none yet.

    Raises:
        ConfigError: The file is missing and `may_make` is false, cannot be read, or is too short to be a key.
    """
    if may_make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_key(path)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"pseudonym_key_file {path}: cannot be read ({type(error).__name__}). Give a file that can."
        ) from None
    if len(key) < _MIN_KEY_BYTES:
        raise ConfigError(f"pseudonym_key_file {path}: holds {len(key)} bytes; a key needs at least {_MIN_KEY_BYTES}.")
    return key


def _make_key(path: Path) -> None:
    """Write a random key, whole or not at all; where another run makes one in the meantime, that one stays."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            temporary.replace(path)
    temporary.unlink(missing_ok=True)


def _renamed(finding: Finding, image_ids: dict[str, str]) -> Finding:
    boxes = {image_ids[image_id]: box for image_id, box in finding.boxes.items() if image_id in image_ids}
    return finding.model_copy(update={"boxes": boxes})
