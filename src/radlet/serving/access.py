"""Who calls, and whether they may: asked before a request reaches its route, its body or the model."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import anyio
from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from radlet.core.errors import RadletError
from radlet.reading.store.sessions import Inside, Sessions
from radlet.reading.store.tables import Role
from radlet.serving.permissions import Permission, find_permission
from radlet.serving.problems import answer_to, problem
from radlet.serving.rates import Buckets

LOCAL = "local"
"""Who acts where nobody has to log in."""
CSRF_HEADER = "x-csrf-token"
_PAGES = ("/", "/dashboard")
_LOGIN = "/login"
_STATE = "state"


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        name: Of the account; it stands beside everything that is done.
        roles: What they may act as.
        entry: Identifies the session, the key or the day: a look at a study is noted once for each.
        session: Of a browser, which must show that a change was meant.
    """

    name: str
    roles: frozenset[Role]
    entry: str
    session: Inside | None = None


def caller_of(request: Request) -> Caller:
    """Return who calls a route that not anybody may call."""
    caller: Caller = request.scope[_STATE]["caller"]
    return caller


Calling = Annotated[Caller, Depends(caller_of)]


def cookie_name(*, tls: bool) -> str:
    """Return the name of the session's cookie; with the prefix, browsers take it from this host over TLS alone."""
    return "__Host-radlet" if tls else "radlet"


def session_token(headers: Mapping[str, str], *, tls: bool) -> str | None:
    """Return the token of the session that a browser brings."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(tls=tls))


class Access:
    """Let through who may call what, as `PERMISSIONS` says; what it does not name is not there.

    Args:
        app: What answers.
        sessions: Of those who have come in; None where nobody has to log in.
        buckets: Requests that an account has left.
        tls: Whether browsers come over TLS.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions | None, buckets: Buckets, *, tls: bool) -> None:
        self._app, self._sessions, self._buckets, self._tls = app, sessions, buckets, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = await self._refusal(scope)
            await (refusal or self._app)(scope, receive, send)
        else:
            # There is nothing but HTTP here.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def _refusal(self, scope: Scope) -> Response | None:
        """Note who calls what; return the answer to those who may not."""
        asked, methods = find_permission(scope["method"], scope["path"])
        if asked is None:
            if methods:
                return problem(405, "This method is not for this path.", {"Allow": ", ".join(methods)})
            return problem(404, "There is nothing here.")
        headers = Headers(scope=scope)
        noted = scope.setdefault(_STATE, {})
        noted["permission"] = asked
        if asked.changes and not _from_here(headers):
            return problem(403, "This request comes from a page of another site.")
        if asked.roles is None:
            return None
        try:
            caller = await anyio.to_thread.run_sync(self._caller, headers)
        except RadletError as error:
            return answer_to(error)
        if caller is None:
            return _come_in(asked)
        noted["caller"] = caller
        if not asked.roles & caller.roles:
            return problem(403, f"This is for the roles {', '.join(sorted(asked.roles))}; yours is another.")
        if asked.changes and caller.session and not _meant(headers, caller.session):
            return problem(403, "The request lacks the token of its session: send GET /api/session's as X-CSRF-Token.")
        # Where nobody logs in all have one name, and the flood of one address would turn the others away.
        wait_s = self._buckets.take(caller.name) if self._sessions else None
        return problem(429, "Too many requests.", {"Retry-After": str(wait_s)}) if wait_s else None

    def _caller(self, headers: Headers) -> Caller | None:
        if self._sessions is None:
            today = datetime.now(UTC).date().isoformat()
            return Caller(LOCAL, frozenset[Role]({"reader", "admin"}), today)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme:
            # Whoever brings a key is its machine or nobody, whatever cookie comes along.
            found = self._sessions.find_key(key.strip()) if scheme.lower() == "bearer" else None
            today = datetime.now(UTC).date().isoformat()
            return Caller(found.account, frozenset({found.role}), f"{found.entry} {today}") if found else None
        token = session_token(headers, tls=self._tls)
        inside = self._sessions.find(token) if token else None
        return Caller(inside.account, frozenset({inside.role}), inside.entry, inside) if inside else None


def _from_here(headers: Headers) -> bool:
    """Say whether no browser sent this from a page of another site; clients that are no browsers name no origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return False
    # With Referrer-Policy: no-referrer, browsers say "null" for the form of our own page too.
    if origin is None or (origin == "null" and site == "same-origin"):
        return True
    try:
        return urlsplit(origin).netloc == headers.get("host") != ""
    except ValueError:
        return False


def _meant(headers: Headers, session: Inside) -> bool:
    sent = headers.get(CSRF_HEADER, "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(sent, (session.csrf or "").encode()) and bool(session.csrf)


def _come_in(asked: Permission) -> Response:
    if asked.path in _PAGES:
        return RedirectResponse(_LOGIN, 303)
    return problem(401, "Log in, or send a valid key as Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"})
