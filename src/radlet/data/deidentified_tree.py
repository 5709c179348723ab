"""What one worker of `deidentify` does: read a shard of a DICOM tree, write its films without identifiers.

Works on the journals of `radlet.data.ingestion`, so a killed run goes on where it stood.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radlet.core.errors import DataError
from radlet.core.locks import lock_file
from radlet.core.records import ImageRecord
from radlet.data.burned_in import check_burned_in
from radlet.data.confidentiality import Confidentiality, ProfileOptions
from radlet.data.deidentify import Names, remove_identifiers
from radlet.data.dicom import read_dicom
from radlet.data.ingestion import Refusal, Shard, check_same, recover_journal, without_path, write_line
from radlet.data.pseudonyms import Pseudonyms
from radlet.data.refusal import QuarantineError
from radlet.data.sources.base import RawStudy, Rejected
from radlet.data.supervision import Poisoned

FILMS = "dicom"


@dataclass(frozen=True, kw_only=True)
class TreeShard(Shard):
    """One part of a tree to be de-identified.

    Attributes:
        options: `ProfileOptions` as JSON.
        names: How names are found in reports.
    """

    options: str
    names: Names


def deidentify_shard(shard: TreeShard, poisoned: Poisoned) -> Iterator[str | None]:
    """Write the films of a shard; yields as `supervision` asks. Films in `poisoned` are refused unread."""
    if shard.key is None:
        raise DataError("De-identification needs a key.")
    worker = _Worker(shard, Pseudonyms(shard.key))
    with shard.journal.open("ab+") as journal:
        lock_file(journal.fileno(), wait=True)
        done = recover_journal(journal)
        for item in shard.items():
            if digest := next(done, None):
                check_same(shard, digest, item)
            elif isinstance(item, Rejected):
                write_line(shard, journal, item, None, [Refusal(item.item_id, item.reason)])
            else:
                study, refusals = yield from worker.study(item, poisoned)
                write_line(shard, journal, item, study, refusals)


class _Worker:
    def __init__(self, shard: TreeShard, pseudonyms: Pseudonyms) -> None:
        self._shard = shard
        self._pseudonyms = pseudonyms
        self._profile = Confidentiality(ProfileOptions.model_validate_json(shard.options), pseudonyms)

    def study(
        self, raw: RawStudy, poisoned: Poisoned
    ) -> Generator[str | None, None, tuple[dict[str, Any] | None, list[Refusal]]]:
        """Write the films of one study; return what the stage tells of it, or None if no film was usable."""
        refusals: list[Refusal] = []
        outcomes: Counter[str] = Counter()
        films = 0
        for image in raw.study.images:
            if image.image_id in poisoned:
                refusals.append(Refusal(image.image_id, poisoned[image.image_id]))
                continue
            yield image.image_id
            film = self._clean(raw, image)
            if isinstance(film, Refusal):
                refusals.append(film)
            else:
                self._store(raw, image, film[0])
                outcomes.update(film[1])
                films += 1
            yield None
        if not films:
            return None, refusals
        return {
            "patient": self._pseudonyms.of("patient", raw.study.patient_id),
            "uid": self._profile.study_uid(raw.study.study_id),
            "films": films,
            "attributes": dict(outcomes),
            "texts": {name: remove_identifiers(text, self._shard.names) for name, text in _texts(raw).items()},
        }, refusals

    def _clean(self, raw: RawStudy, image: ImageRecord) -> tuple[bytes, dict[str, int]] | Refusal:
        """Return a film without identifiers and what became of its attributes, or why it is refused."""
        try:
            data = Path(image.path).read_bytes()
            film = self._profile.film(data, raw.study.study_id, raw.study.patient_id, image.image_id)
            if self._shard.check_text:
                check_burned_in(read_dicom(data))
        except DataError as error:
            reason = without_path(str(error), image.path)
            return Refusal(image.image_id, reason, quarantined=isinstance(error, QuarantineError))
        except Exception as error:  # noqa: BLE001 - a library may raise anything; the film is refused by id
            return Refusal(image.image_id, f"de-identification failed ({type(error).__name__})")
        return film

    def _store(self, raw: RawStudy, image: ImageRecord, clean: bytes) -> None:
        """Write a film. A full disk is no fault of the film: it ends the run, which can go on later."""
        own = self._pseudonyms
        folder = Path(FILMS, own.of("patient", raw.study.patient_id), own.of("study", raw.study.study_id))
        target = self._shard.run_dir / folder / f"{own.of('image', image.image_id)}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".tmp")
        temporary.write_bytes(clean)
        temporary.replace(target)


def _texts(raw: RawStudy) -> dict[str, str]:
    return raw.study.sections | ({"report": raw.study.report} if raw.study.report else {})
