"""What those who run the service ask: is it alive, is it ready, how busy is it."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from radlet.reading.drift.report import DriftReport
from radlet.serving.routes.openai import Room

router = APIRouter(tags=["Operations"])


@router.get("/healthz")
async def health() -> dict[str, str]:
    """Say that the process answers, also while every thread that waits for something is taken."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(room: Room) -> JSONResponse:
    """Say whether drafts can be written: the model is at work and the store answers."""
    state = {"model": room.queue.alive, "store": room.store.answers()}
    return JSONResponse({"ready": all(state.values()), **state}, 200 if all(state.values()) else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Return counts and times for Prometheus; no label names a patient or a study."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/drift")
def drift(request: Request) -> DriftReport:
    """Tell whether films and drafts still look like those the model was made with, over all and for each scanner."""
    report: DriftReport = request.app.state.drift.report()
    return report
