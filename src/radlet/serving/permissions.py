"""Which role may call what: the one table. A route that is not in it cannot be called."""

from dataclasses import dataclass
from functools import cache
from re import Pattern
from typing import Literal

from starlette.routing import compile_path

from radlet.reading.store.tables import Role

READER, ADMIN, MACHINE = frozenset[Role]({"reader"}), frozenset[Role]({"admin"}), frozenset[Role]({"machine"})
ANYBODY = None
"""Also those who have not logged in. Nothing that such a route answers may come from a study."""


@dataclass(frozen=True)
class Permission:
    """Who may call a route.

    Attributes:
        method: Of HTTP; GET covers HEAD.
        path: As the route has it.
        roles: Any of these; None is anybody.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    roles: frozenset[Role] | None

    @property
    def changes(self) -> bool:
        """Whether calling it may change something."""
        return self.method != "GET"


PERMISSIONS = (
    Permission("GET", "/healthz", ANYBODY),
    Permission("GET", "/readyz", ANYBODY),
    Permission("GET", "/metrics", ADMIN | MACHINE),
    Permission("GET", "/openapi.json", READER | ADMIN | MACHINE),
    Permission("GET", "/", READER | ADMIN),
    Permission("GET", "/dashboard", READER | ADMIN),
    Permission("GET", "/static/{name}", ANYBODY),
    Permission("GET", "/login", ANYBODY),
    Permission("POST", "/login", ANYBODY),
    Permission("GET", "/login.css", ANYBODY),
    Permission("POST", "/logout", READER | ADMIN),
    Permission("GET", "/oidc/login", ANYBODY),
    Permission("GET", "/oidc/callback", ANYBODY),
    Permission("GET", "/api/session", READER | ADMIN | MACHINE),
    Permission("GET", "/v1/models", READER | MACHINE),
    Permission("GET", "/v1/models/{name}", READER | MACHINE),
    Permission("POST", "/v1/chat/completions", READER | MACHINE),
    Permission("GET", "/api/model", READER | ADMIN | MACHINE),
    Permission("GET", "/api/studies", READER | MACHINE),
    Permission("POST", "/api/studies", READER | MACHINE),
    Permission("GET", "/api/studies/{study_id}", READER | MACHINE),
    Permission("POST", "/api/studies/{study_id}/draft", READER | MACHINE),
    Permission("POST", "/api/studies/{study_id}/question", READER | MACHINE),
    Permission("GET", "/api/studies/{study_id}/gate", READER | MACHINE),
    Permission("GET", "/api/studies/{study_id}/meanwhile", READER),
    Permission("GET", "/api/studies/{study_id}/similar", READER | MACHINE),
    Permission("GET", "/api/statistics", READER | ADMIN | MACHINE),
    Permission("GET", "/api/drift", READER | ADMIN | MACHINE),
    Permission("GET", "/api/studies/{study_id}/drafts/{draft_id}/sentences/{number}", READER | MACHINE),
    # What a person answers for is a person's to do.
    Permission("PUT", "/api/studies/{study_id}/report", READER),
    Permission("POST", "/api/studies/{study_id}/signature", READER),
    Permission("POST", "/api/studies/{study_id}/reopen", READER),
    Permission("POST", "/api/drafts/{draft_id}/feedback", READER),
    Permission("GET", "/api/images/{image_id}/film.png", READER | MACHINE),
    Permission("GET", "/api/images/{image_id}/values", READER | MACHINE),
    Permission("POST", "/api/drafts", READER | MACHINE),
    Permission("POST", "/api/retrieve", READER | MACHINE),
)


def find_permission(method: str, path: str) -> tuple[Permission | None, tuple[str, ...]]:
    """Return what the table says of a request, and the methods that the path allows; none for an unknown path."""
    method = "GET" if method == "HEAD" else method
    fitting = [one for one, pattern in _compiled() if pattern.match(path)]
    found = next((one for one in fitting if one.method == method), None)
    return found, tuple(one.method for one in fitting)


@cache
def _compiled() -> tuple[tuple[Permission, Pattern[str]], ...]:
    return tuple((one, compile_path(one.path)[0]) for one in PERMISSIONS)
