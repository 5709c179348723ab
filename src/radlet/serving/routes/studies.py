"""The reading room's own endpoints: worklist, films, drafts, evidence, edits, signatures."""

import time
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi import Path as Path_
from fastapi.responses import StreamingResponse
from PIL import Image as Pixels

from radlet.core.errors import DataError
from radlet.data.film import DeepFilm
from radlet.data.images import shown_part
from radlet.inference.drafter import DraftRequest
from radlet.reading.evidence import sentences_of
from radlet.reading.feedback import signed_drafts, statistics
from radlet.reading.gate import GateVerdict
from radlet.reading.opening import ReadFilm, show_deep_film, show_film
from radlet.reading.room import ReadingRoom, written_by
from radlet.reading.store.basis import NotThereError
from radlet.reading.store.films import passing_folder
from radlet.reading.store.tables import StudyState, now
from radlet.serving import forms
from radlet.serving.access import Calling
from radlet.serving.film_answer import Showing
from radlet.serving.looks import Looking
from radlet.serving.presence import Attending
from radlet.serving.routes.openai import Room, note_asked
from radlet.serving.telling import EventStream, Hearing, server_sent

router = APIRouter(prefix="/api", tags=["Reading room"])

Films = Annotated[list[UploadFile], File(description="DICOM, PNG or JPEG files.")]


@router.get("/model")
def model(room: Room) -> forms.Model:
    """Tell who writes."""
    return forms.Model.of(room.identity)


@router.get("/studies")
def worklist(
    room: Room,
    state: StudyState | None = None,
    words: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> forms.Worklist:
    """Return a page of the worklist, the newest study first."""
    rows, total = room.store.worklist(state, _storable(words), limit, offset)
    lines = [forms.StudyLine.line_of(row) for row in rows]
    return forms.Worklist(studies=lines, total=total, by_state=room.store.counts())


@router.post("/studies", status_code=201)
def add_films(
    request: Request,
    room: Room,
    caller: Calling,
    films: Films,
    indication: Annotated[str | None, Form(max_length=2_000)] = None,
) -> list[forms.ReceivedFilm]:
    """Put films on the worklist; those without a header become a study each. All are kept, or none."""
    most = request.app.state.config.uploads.max_films
    if len(films) > most:
        raise HTTPException(413, f"The request holds {len(films)} films; at most {most} are taken at once.")
    contents = [film.file.read() for film in films]
    read = [_read(room, content, number, len(contents)) for number, content in enumerate(contents, 1)]
    received = room.keep_all(read, caller.name, "upload", _storable(indication))
    return [
        forms.ReceivedFilm(study_id=one.study_id, image_id=one.image_id, new=one.new, gate=one.verdict)
        for one in received
    ]


@router.get("/studies/{study_id}")
def study(study_id: str, room: Room, caller: Calling, looks: Looking) -> forms.Study:
    """Return a study with all that belongs to it."""
    row = room.store.study(study_id)
    priors = room.store.priors(row)
    looks.note(caller, study_id, priors)
    return forms.Study.of(row, priors, room.identity.notice)


@router.get("/studies/{study_id}/meanwhile")
def meanwhile(study_id: str, room: Room, caller: Calling, attending: Attending) -> forms.Meanwhile:
    """Say that one has a study open; tell who else has, and what was saved or drafted last."""
    row = room.store.study(study_id)
    others = attending.note(caller, study_id)
    return forms.Meanwhile(
        state=row.state,
        last_text=row.last_text.id if row.last_text else None,
        last_draft=row.drafts[-1].id if row.drafts else None,
        films=len(row.images),
        colleagues=[forms.Colleague(**vars(one)) for one in others],
    )


@router.get("/studies/{study_id}/gate")
def gate(study_id: str, room: Room) -> dict[str, GateVerdict]:
    """Return what the input gate says of each film of a study, by the film's identifier."""
    return room.judge(room.store.study(study_id))


@router.post("/studies/{study_id}/draft", response_class=StreamingResponse)
async def draft(study_id: str, room: Room, caller: Calling) -> StreamingResponse:
    """Draft a report: server-sent events with new ``text``, then the whole ``draft``, or an ``error``."""
    asked = await to_thread(room.ask, study_id, caller.name)
    hearing = Hearing(room.queue, asked.request, None)
    await hearing.__aenter__()

    async def events() -> AsyncIterator[str]:
        parts: list[str] = []
        async for told in hearing:
            parts.append(told.text)
            if told.text:
                yield server_sent({"text": told.text})
            if told.ended:
                drafter = written_by(told)
                row = await to_thread(room.keep_draft, asked, "".join(parts), drafter, caller.name)
                yield server_sent({"draft": forms.Draft.of(row, room.identity.notice).model_dump(mode="json")})

    return EventStream(events(), hearing.leave)


@router.post("/studies/{study_id}/question")
async def question(
    study_id: str, asked: forms.Question, room: Room, caller: Calling, looks: Looking, request: Request
) -> forms.Answer:
    """Ask the model something about the film that drafts are written from."""

    def begin() -> DraftRequest:
        found = room.ask(study_id, caller.name)
        looks.note(caller, study_id)
        identity = room.identity
        room.store.note(caller.name, "model.ask", study_id, model=identity.name, checkpoint=identity.checkpoint_digest)
        return replace(found.request, question=asked.question)

    hearing = Hearing(room.queue, await to_thread(begin), None, whole=True)
    text, drafter = await hearing.whole_text(request.is_disconnected)
    return forms.Answer(question=asked.question, answer=text, notice=room.identity_of(drafter).notice)


@router.get("/studies/{study_id}/similar")
def similar(study_id: str, room: Room, k: Annotated[int, Query(ge=1, le=50)] = 5) -> list[forms.Similar]:
    """Return studies of the searched collection that look like this one's first film; none without a collection."""
    row = room.store.study(study_id)
    if not row.images:
        return []
    return _similar(room, room.store.path_of(row.images[0]), k)


@router.post("/retrieve")
def retrieve(asked: forms.Search, room: Room) -> list[forms.Similar]:
    """Return studies of the searched collection whose films fit some words."""
    return _similar(room, asked.text, asked.k)


@router.get("/studies/{study_id}/drafts/{draft_id}/sentences/{number}")
async def evidence(
    study_id: str,
    draft_id: str,
    number: Annotated[int, Path_(ge=0, le=1000)],
    room: Room,
    caller: Calling,
    looks: Looking,
    request: Request,
) -> forms.EvidenceTold:
    """Return where the model looked while it wrote a sentence, and how faithful that map is."""

    def look() -> forms.EvidenceTold:
        row = room.store.study(study_id)
        found = next((draft for draft in row.drafts if draft.id == draft_id), None)
        if found is None:
            raise NotThereError("The study has no such draft.")
        looks.note(caller, study_id)
        shown = room.evidence(row, found, number)
        image = next(image for image in row.images if image.id == found.image_id)
        start, end = found.sentences[number]
        return forms.EvidenceTold.of(shown, (start, end), _part(room, (image.height_px, image.width_px)))

    return await run_sync(look, limiter=request.app.state.looking_behind)


@router.put("/studies/{study_id}/report")
def save_report(study_id: str, report: forms.Report, room: Room, caller: Calling) -> forms.Edit:
    """Save a reader's text, unless another one was saved or signed since it was begun."""
    text = _text(report.text)
    return forms.Edit.of(room.store.save_edit(study_id, text, caller.name, report.reading_s, report.basis))


@router.post("/studies/{study_id}/signature", status_code=201)
def sign(study_id: str, report: forms.Report, room: Room, caller: Calling) -> forms.Signature:
    """Sign a text as the report: from now on a person answers for it. Refused where another was saved meanwhile."""
    text = _text(report.text)
    return forms.Signature.of(room.sign(study_id, text, caller.name, report.reading_s, report.basis))


@router.post("/studies/{study_id}/reopen", status_code=204)
def reopen(study_id: str, room: Room, caller: Calling) -> None:
    """Let a signed report be edited again."""
    room.store.reopen(study_id, caller.name)


@router.post("/drafts/{draft_id}/feedback", status_code=204)
def feedback(draft_id: str, said: forms.Feedback, room: Room, caller: Calling) -> None:
    """Say what is wrong, missing or right about a draft."""
    room.store.add_feedback(draft_id, said.kind, _text(said.note), caller.name)


@router.get("/statistics")
def told_statistics(
    room: Room, days: Annotated[int, Query(ge=1, le=3650, description="Looks back so many days.")] = 90
) -> list[forms.DayOfModel]:
    """Return what readers made of drafts, by day and model: how many were signed, changed by how much, how fast."""
    signed, _ = signed_drafts(room.store, now() - timedelta(days=days))
    return [forms.DayOfModel(**day) for day in statistics(signed)]


@router.get("/images/{image_id}/film.png", response_class=Response)
def film(image_id: str, room: Room, caller: Calling, looks: Looking) -> Response:
    """Return a film in display grey, upright, as the model's own path reads it."""
    row = room.store.image(image_id)
    looks.note(caller, row.study_id)
    pixels = show_film(room.store.path_of(row)).pixels
    content = BytesIO()
    Pixels.fromarray(pixels).save(content, "PNG", compress_level=1)
    return Response(content.getvalue(), media_type="image/png")


@router.get(
    "/images/{image_id}/values",
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {"Film": {"description": "JSON, see FilmValues.", "schema": {"type": "string"}}},
            "description": "Values row by row, little-endian.",
        }
    },
)
async def values(image_id: str, room: Room, caller: Calling, looks: Looking, request: Request) -> Response:
    """Return a film in all the greys that its file has, upright, for a viewer that sets the window itself.

    Within the window of the header it is what the model reads, before rounding to 256 greys.
    """

    def read() -> DeepFilm:
        row = room.store.image(image_id)
        looks.note(caller, row.study_id)
        return show_deep_film(room.store.path_of(row))

    showing: Showing = request.app.state.showing
    return await showing.read(read, lambda film: {"Film": forms.FilmValues.of(film).model_dump_json()})


@router.post("/drafts")
async def draft_film(
    room: Room,
    caller: Calling,
    film: UploadFile,
    request: Request,
    indication: Annotated[str | None, Form(max_length=2_000)] = None,
) -> forms.WholeDraft:
    """Draft a report about one film that is not kept, with all it rests on.

    A film that the gate refuses gets its verdict and no draft.
    """
    with passing_folder(room.store.data_dir) as folder:
        path = Path(folder) / "film"

        def begin() -> tuple[ReadFilm, list[forms.Similar]]:
            room.queue.check_room()
            read = room.read(film.file.read())
            path.write_bytes(read.content)
            note_asked(room, caller.name, "model.draft", (path,))
            return read, _similar(room, path, room.settings.num_similar)

        read, near = await to_thread(begin)
        if not read.verdict.passed:
            return forms.WholeDraft(gate=read.verdict, draft=None, evidence=[], similar=near)
        asked = DraftRequest((path,), read.header.indication or indication)
        began = time.monotonic()
        hearing = Hearing(room.queue, asked, None, (read.film.pixels,), whole=True)
        # The line may be long: what waits holds no film in full size.
        read = read.without_pixels()
        text, drafter = await hearing.whole_text(request.is_disconnected)
        seconds = time.monotonic() - began

        def look() -> forms.WholeDraft:
            draft = forms.Draft(
                id=None,
                image_id=None,
                text=text,
                findings=[forms.Finding(**finding) for finding in room.findings(text, path)],
                sentences=sentences_of(text),
                gate=read.verdict,
                model=forms.Model.of(room.identity_of(drafter)),
                prompt=drafter.card.prompt.render(1, asked.indication),
                sampling=drafter.own_sampling.model_dump(mode="json"),
                seconds=seconds,
                created_at=None,
            )
            part = _part(room, read.film.pixels.shape)
            looked = room.looked(asked, text, drafter)
            told = [forms.EvidenceTold.of(one, span, part) for span, one in looked]
            return forms.WholeDraft(gate=read.verdict, draft=draft, evidence=told, similar=near)

        return await run_sync(look, limiter=request.app.state.looking_behind)


def _read(room: ReadingRoom, content: bytes, number: int, count: int) -> ReadFilm:
    """Read one film of several, so that an error tells which: by its number, as its name may be a patient's."""
    try:
        return room.read(content).without_pixels()
    except DataError as error:
        raise type(error)(f"Film {number} of {count}: {error}") from None


def _similar(room: ReadingRoom, query: Path | str, k: int) -> list[forms.Similar]:
    return [
        forms.Similar(study_id=hit["study_id"], similarity=round(hit["similarity"], 4), report=hit["report"])
        for hit in room.similar(query, k)
    ]


def _part(room: ReadingRoom, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    return shown_part(shape[0], shape[1], room.queue.drafter.image_settings)


def _text(words: str) -> str:
    """Return words as a database keeps them: without characters of the value 0."""
    return words.replace("\0", "")


def _storable(words: str | None) -> str | None:
    return _text(words) if words else None
