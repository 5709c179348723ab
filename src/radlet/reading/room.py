"""The reading room: a model, a store, and what passes between them. Web and DICOM node are its doors."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pydantic import Field

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.data.burned_in import require_reader
from radlet.data.labellers.rules import RuleLabeller
from radlet.inference.attention import Span
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.reading.draft_queue import DraftQueue, QueueSettings
from radlet.reading.evidence import Evidence, look_behind, sentences_of
from radlet.reading.gate import GateSettings, GateVerdict
from radlet.reading.opening import ReadFilm, judge_file, read_received
from radlet.reading.outbox import Deliveries
from radlet.reading.receiving import Received, keep_films
from radlet.reading.served_model import ModelIdentity, ServedModel
from radlet.reading.store.basis import NOTHING, Basis, NotThereError, StateError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, ImageRow, SignatureRow, StudyRow
from radlet.reading.tickets import Ended, Told
from radlet.reading.verdicts import Verdicts

if TYPE_CHECKING:
    from radlet.retrieval.familiarity import Familiarity
    from radlet.retrieval.lookup import StudyFinder


class RoomSettings(Config):
    """How studies are drafted."""

    gate: GateSettings = GateSettings()
    """What a film must be before the model writes about it."""
    queue: QueueSettings = QueueSettings()
    """How many drafts are written together, and how many may wait."""
    num_similar: int = Field(default=5, ge=0)
    """Similar studies that are shown beside a draft."""


class NoFilmError(DataError):
    """No film of the study may be drafted from; `verdicts` says why, film by film."""

    def __init__(self, verdicts: dict[str, GateVerdict]) -> None:
        # In words, each once: they speak of films, never of a patient.
        words = dict.fromkeys(
            reason.words for verdict in verdicts.values() for reason in verdict.reasons if reason.action == "refuse"
        )
        super().__init__(" ".join(("The input gate refused every film of the study.", *words)))
        self.verdicts = verdicts


class EndedError(DataError):
    """A draft ended before it was done; `ended` says how."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(f"The draft ended early: {ended}.")
        self.ended = ended


@dataclass(frozen=True)
class Asked:
    """A draft that is asked for.

    Attributes:
        study: About which.
        image: The film that is shown to the model.
        verdict: Of the gate, on that film.
        request: What the model is given.
        began: When, on the monotonic clock.
    """

    study: StudyRow
    image: ImageRow
    verdict: GateVerdict
    request: DraftRequest
    began: float = field(default_factory=time.monotonic)


class ReadingRoom:
    """Receive films, draft reports, and say what they rest on.

    Args:
        store: Where studies are kept.
        model: Who writes.
        settings: How.
        finder: Similar studies, if there are any to be searched.

    Raises:
        ConfigError: The gate is to read burned-in text, and the reader is not installed.
    """

    def __init__(
        self, store: Store, model: ServedModel, settings: RoomSettings, finder: "StudyFinder | None" = None
    ) -> None:
        self.store, self.settings, self.finder = store, settings, finder
        self.deliveries: Deliveries | None = None
        """What other systems are sent of drafts and signed reports; whoever sends it says so here."""
        self._identity = model.identity
        # Not the models: a value that holds its own key would keep it for good.
        self._by_drafter = WeakKeyDictionary({model.drafter: model.identity})
        self.queue = DraftQueue(model.drafter, settings.queue)
        self._labeller = RuleLabeller()
        self._finding = threading.Lock()
        self._verdicts = Verdicts()
        if settings.gate.burned_in_text != "ignore":
            require_reader()
        # Made now rather than for the first film.
        self._known()

    @property
    def identity(self) -> ModelIdentity:
        """Who writes now."""
        return self._identity

    def identity_of(self, drafter: Drafter) -> ModelIdentity:
        """Who a drafter is."""
        return self._by_drafter[drafter]

    def swap(self, model: ServedModel) -> None:
        """Let another model write from now on; what is under way is finished by the one that began it."""
        self._identity = self._by_drafter[model.drafter] = model.identity
        self.queue.swap(model.drafter)

    def read(self, content: bytes) -> ReadFilm:
        """Read a film and let the gate judge it.

        Raises:
            DataError: It is no film, or a damaged one.
        """
        return read_received(content, self.settings.gate, self._known())

    def keep(self, read: ReadFilm, actor: str, origin: str, indication: str | None = None) -> Received:
        """Put a film into the store, into the study that its header names."""
        return self.keep_all([read], actor, origin, indication)[0]

    def keep_all(
        self, read: Sequence[ReadFilm], actor: str, origin: str, indication: str | None = None
    ) -> list[Received]:
        """Put films into the store, each into the study that its header names; all or none."""
        received = keep_films(self.store, read, actor, origin, indication)
        for one in received:
            # Of a film that was known before, what came now may be another file.
            if one.new:
                self._verdicts.put(one.image_id, one.verdict)
        return received

    def judge(self, study: StudyRow) -> dict[str, GateVerdict]:
        """Return what the gate says of each film of a study, by its identifier."""
        return {image.id: self._judge(image) for image in study.images}

    def ask(self, study_id: str, actor: str) -> Asked:
        """Choose the film of a study to draft from: the first that passes the gate.

        Raises:
            NoFilmError: The gate refused every film; the study is then refused.
            NotThereError: There is no such study.
        """
        study = self.store.study(study_id)
        verdicts = self.judge(study)
        image = next((image for image in study.images if verdicts[image.id].passed), None)
        if image is None:
            codes = sorted({reason.code for verdict in verdicts.values() for reason in verdict.reasons})
            self.store.refuse(study_id, codes or ["no_film"], actor)
            raise NoFilmError(verdicts)
        request = DraftRequest((self.store.path_of(image),), study.indication)
        return Asked(study, image, verdicts[image.id], request)

    def keep_draft(self, asked: Asked, text: str, drafter: Drafter, actor: str, *, first: bool = False) -> DraftRow:
        """Keep what a drafter wrote, and with it what is to be sent of it; see `Store.add_draft`."""
        identity = self._by_drafter[drafter]
        row = DraftRow(
            study_id=asked.study.id,
            image_id=asked.image.id,
            text=text,
            model=identity.name,
            checkpoint_digest=identity.checkpoint_digest,
            image_path_digest=identity.image_path_digest,
            engine=identity.engine,
            prompt=drafter.card.prompt.render(len(asked.request.image_paths), asked.request.indication),
            sampling=drafter.own_sampling.model_dump(mode="json"),
            radlet_version=identity.radlet_version,
            gate=asked.verdict.model_dump(mode="json"),
            findings=self.findings(text, asked.request.image_paths[0]),
            sentences=[list(span) for span in sentences_of(text)],
            seconds=time.monotonic() - asked.began,
        )
        if self.deliveries and _known_elsewhere(asked.study, asked.image):
            return self.store.add_draft(row, actor, self.deliveries.of_draft, first=first)
        return self.store.add_draft(row, actor, first=first)

    def sign(
        self, study_id: str, text: str, signer: str, reading_s: float | None = None, based_on: Basis = NOTHING
    ) -> SignatureRow:
        """Keep a text as the report that a person answers for, and with it what is to be sent of it.

        Raises:
            NotThereError: There is no such study, or it has no such draft.
            OvertakenError: Another text was kept since.
            StateError: It is signed already, or the text is empty.
        """
        study = self.store.study(study_id)
        if self.deliveries and any(_known_elsewhere(study, image) for image in study.images):
            return self.store.sign(study_id, text, signer, reading_s, based_on, self.deliveries.of_signature)
        return self.store.sign(study_id, text, signer, reading_s, based_on)

    def draft(self, study_id: str, actor: str) -> DraftRow:
        """Draft a report about a study, wait for it, and keep it.

        Raises:
            ClosedError: The service is stopping.
            EndedError: The draft was cancelled, took too long or failed.
            NoFilmError: The gate refused every film.
            NotThereError: There is no such study.
            QueueFullError: Too many wait.
        """
        asked = self.ask(study_id, actor)
        text, drafter = self.write(asked.request, None)
        return self.keep_draft(asked, text, drafter, actor)

    def write(self, request: DraftRequest, sampling: Sampling | None) -> tuple[str, Drafter]:
        """Let the model write; return the whole text and who wrote it.

        Args:
            request: What it is written from.
            sampling: How; None is the checkpoint's own way.

        Raises:
            ClosedError: The service is stopping.
            ConfigError: The model cannot write in this way.
            DataError: A film cannot be read.
            EndedError: The text was cancelled, took too long or failed.
            QueueFullError: Too many wait.
        """
        parts: list[str] = []
        last: Future[Told] = Future()

        def hear(told: Told) -> None:
            parts.append(told.text)
            if told.ended:
                last.set_result(told)

        self.queue.submit(request, sampling, hear, whole=True)
        drafter = written_by(last.result())
        return "".join(parts), drafter

    def evidence(self, study: StudyRow, draft: DraftRow, number: int) -> Evidence:
        """Return where the model looked for a sentence of a draft.

        Raises:
            NotThereError: The draft has no such sentence.
            StateError: Another model wrote it.
        """
        spans = sentences_of(draft.text)
        if not 0 <= number < len(spans):
            raise NotThereError("The draft has no such sentence.")
        request = DraftRequest((self.store.path_of(self._image_of(study, draft)),), study.indication)

        def look(drafter: Drafter) -> Evidence:
            if draft.checkpoint_digest != self.identity_of(drafter).checkpoint_digest:
                raise StateError("Another model wrote this draft. Draft the study anew to see what it rests on.")
            return look_behind(drafter, request, draft.text, spans[number])

        return self.queue.run(look)

    def looked(self, request: DraftRequest, text: str, by: Drafter) -> list[tuple[Span, Evidence]]:
        """Return where a model looked for each sentence of its text; nothing once another one writes."""

        def look(drafter: Drafter, span: Span) -> Evidence | None:
            return look_behind(drafter, request, text, span) if drafter is by else None

        # Sentence by sentence: drafts under way go on in between.
        found = [(span, self.queue.run(partial(look, span=span))) for span in sentences_of(text)]
        return [(span, shown) for span, shown in found if shown]

    def similar(self, query: Path | str, k: int | None = None) -> list[dict[str, Any]]:
        """Return the studies most similar to a film, or to words, of the collection that is searched.

        Without a collection there are none.
        """
        if self.finder is None:
            return []
        with self._finding:
            return self.finder.nearest(query, k or self.settings.num_similar)

    def findings(self, text: str, film: Path) -> list[dict[str, Any]]:
        """Return what a draft says of each observation, beside the probability that the encoder gives it.

        Only what the draft mentions or the encoder was trained to tell is listed.
        """
        said = self._labeller.label([text])[0]
        probabilities: dict[str, float] = {}
        if self.finder is not None:
            with self._finding:
                row = self.finder.embedder.label_probabilities([film])[0]
            names = self.finder.embedder.card.label_names
            probabilities = {name: round(float(value), 4) for name, value in zip(names, row, strict=True)}
        return [
            {"observation": name, "state": str(state), "probability": probabilities.get(name)}
            for name, state in said.items()
            if state != "UNMENTIONED" or name in probabilities
        ]

    def close(self, wait_s: float) -> bool:
        """Finish what is in line, at most for `wait_s`; tell whether all was finished."""
        return self.queue.close(wait_s)

    def _judge(self, image: ImageRow) -> GateVerdict:
        found = self._verdicts.get(image.id)
        if found is None:
            found = judge_file(self.store.path_of(image), self.settings.gate, self._known())
            self._verdicts.put(image.id, found)
        return found

    def _known(self) -> "Familiarity | None":
        """Return the films that an incoming one is held against."""
        if self.finder is None or self.settings.gate.unlike == "ignore":
            return None
        # Without the lock: it was made at the beginning, and a film that comes in must not wait for those who search.
        return self.finder.familiarity

    def _image_of(self, study: StudyRow, draft: DraftRow) -> ImageRow:
        return next(image for image in study.images if image.id == draft.image_id)


def written_by(told: Told) -> Drafter:
    """Return who wrote a text, given the last news of it.

    Raises:
        EndedError: It is not whole.
    """
    if told.ended not in ("stop", "length") or told.drafter is None:
        raise EndedError(told.ended or "error")
    return told.drafter


def _known_elsewhere(study: StudyRow, image: ImageRow) -> bool:
    """Say whether other systems know a film by its identifiers; about one that has none they are told nothing."""
    return bool(study.study_uid and image.series_uid and image.sop_instance_uid)
