"""What every answer tells browsers, and by which names the service may be called."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radlet.serving.problems import problem

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_TLS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SafeHeaders:
    """Add the headers, and refuse requests that call the service by a foreign name.

    A page of another site could otherwise let its own name point to this machine and read answers as its own (DNS
    rebinding).

    Args:
        app: What answers.
        hosts: Names by which it may be called, besides those of loopback.
        tls: Whether it is reached over TLS.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], *, tls: bool) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in (*hosts, *_LOOPBACK))
        self._added = {**_ALWAYS, **(_TLS_ONLY if tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._added.items():
                    headers[name] = value
                permission = scope.get("state", {}).get("permission")
                if permission is None or permission.roles is not None:
                    headers["Cache-Control"] = "no-store"
                else:
                    headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        if _name_of(Headers(scope=scope).get("host", "")) in self._hosts:
            await self._app(scope, receive, with_headers)
        else:
            words = "The service is not known by this name. Call it by one of `hosts` of its recipe."
            await problem(421, words)(scope, receive, with_headers)


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
