"""Coming in, going out, and who one is."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from radlet.serving import forms
from radlet.serving.access import Calling, cookie_name, session_token
from radlet.serving.limits import address_of
from radlet.serving.login import Door
from radlet.serving.login_page import STYLE, go_on_page, login_page
from radlet.serving.oidc import Issuer
from radlet.serving.problems import problem

router = APIRouter(tags=["Accounts"])
_STATE_COOKIE = "radlet-oidc"
_STATE_S = 600


@router.get("/login", response_class=HTMLResponse, include_in_schema=False)
def show_login(request: Request) -> Response:
    """Show the form to log in by."""
    if _door(request) is None:
        return RedirectResponse("/", 303)
    return HTMLResponse(login_page(issuer=_issuer(request) is not None))


@router.get("/login.css", response_class=Response, include_in_schema=False)
def login_style() -> Response:
    """Return how the form looks."""
    return Response(STYLE, media_type="text/css")


@router.post("/login", response_class=HTMLResponse, status_code=303, include_in_schema=False)
def log_in(
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=256)],
) -> Response:
    """Open a session: the answer brings its cookie and leads to the reading room."""
    door = _door(request)
    if door is None:
        return RedirectResponse("/", 303)
    name = name.replace("\0", "")
    came = door.log_in(name, password, address_of(request.scope), session_token(request.headers, tls=_tls(request)))
    issuer = _issuer(request) is not None
    if came.wait_s:
        page = login_page("Too many attempts. Try again later.", issuer=issuer)
        return HTMLResponse(page, 429, {"Retry-After": str(came.wait_s)})
    if came.token is None:
        return HTMLResponse(login_page("Name or password is wrong.", issuer=issuer), 401)
    return _with_session(RedirectResponse("/", 303), came.token, request)


@router.post("/logout", status_code=204)
def log_out(request: Request, caller: Calling) -> Response:
    """End the session."""
    door, token = _door(request), session_token(request.headers, tls=_tls(request))
    answer = Response(status_code=204)
    if door and token and caller.session:
        door.sessions.end(token)
        answer.delete_cookie(cookie_name(tls=_tls(request)), secure=_tls(request), httponly=True, samesite="strict")
    return answer


@router.get("/api/session")
def session(caller: Calling) -> forms.Session:
    """Tell who one is, and the token that changing requests of this session carry as X-CSRF-Token."""
    inside = caller.session
    return forms.Session(
        account=caller.name,
        roles=sorted(caller.roles),
        csrf=inside.csrf if inside else None,
        ends_at=inside.ends_at if inside else None,
    )


@router.get("/oidc/login", response_class=Response, status_code=303, include_in_schema=False)
async def go_to_issuer(request: Request) -> Response:
    """Lead to the institution's issuer of accounts (OpenID Connect, authorization code with PKCE)."""
    issuer = _issuer(request)
    if issuer is None:
        return problem(404, "No issuer is set up.")
    url, state = await to_thread.run_sync(issuer.begin, limiter=request.app.state.asking_issuer)
    answer = RedirectResponse(url, 303)
    # Lax: the issuer's page leads back here.
    answer.set_cookie(_STATE_COOKIE, state, _STATE_S, path="/oidc", secure=_tls(request), httponly=True, samesite="lax")
    return answer


@router.get("/oidc/callback", response_class=HTMLResponse, include_in_schema=False)
async def come_from_issuer(request: Request, state: str = "", code: str = "") -> Response:
    """Open a session for whom the issuer vouches for."""
    return await to_thread.run_sync(_vouched, request, state, code, limiter=request.app.state.asking_issuer)


def _vouched(request: Request, state: str, code: str) -> Response:
    issuer, door = _issuer(request), _door(request)
    if issuer is None or door is None:
        return problem(404, "No issuer is set up.")
    vouched = issuer.finish(request.cookies.get(_STATE_COOKIE, ""), state, code)
    if vouched is None or not door.accounts.take_in(vouched.name, vouched.role):
        return HTMLResponse(login_page("The issuer's answer opens no account here.", issuer=True), 401)
    token = door.sessions.open(vouched.name, session_token(request.headers, tls=_tls(request)))
    answer = HTMLResponse(go_on_page())
    answer.delete_cookie(_STATE_COOKIE, path="/oidc", secure=_tls(request), httponly=True, samesite="lax")
    return _with_session(answer, token, request)


def _with_session(answer: Response, token: str, request: Request) -> Response:
    tls = _tls(request)
    answer.set_cookie(cookie_name(tls=tls), token, secure=tls, httponly=True, samesite="strict")
    return answer


def _door(request: Request) -> Door | None:
    door: Door | None = request.app.state.door
    return door


def _issuer(request: Request) -> Issuer | None:
    issuer: Issuer | None = request.app.state.issuer
    return issuer


def _tls(request: Request) -> bool:
    tls: bool = request.app.state.config.tls
    return tls
