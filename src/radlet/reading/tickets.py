"""A place in the line of drafts, and what is told to whom it belongs."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from radlet.inference.draft_stream import Prepared, Wanted
from radlet.inference.drafter import Drafter

_LOG = logging.getLogger(__name__)

Ended = Literal["stop", "length", "cancelled", "timeout", "error"]


@dataclass(frozen=True)
class Told:
    """News of a draft.

    Attributes:
        text: New text; may be empty.
        num_tokens: Tokens written so far.
        ended: Why nothing more will come; None while it goes on.
        drafter: Who writes it; None where nobody has begun.
    """

    text: str
    num_tokens: int
    ended: Ended | None
    drafter: Drafter | None = None


@dataclass(eq=False)
class Ticket:
    """A place in the line.

    Attributes:
        num_prompt_tokens: Tokens of the prompt, image tokens counted.
    """

    wanted: Wanted
    listener: Callable[[Told], None]
    prepared: Prepared
    by: Drafter
    deadline: float
    began: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    num_tokens: int = 0

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt, image tokens counted."""
        return len(self.prepared.prompt)


def tell(ticket: Ticket, told: Told) -> None:
    """Tell news to whom a ticket belongs; a listener that raises disturbs nobody else."""
    try:
        ticket.listener(told)
    except Exception as error:  # noqa: BLE001 - nobody hears it any more; the others still wait
        _LOG.error("A listener failed: %s", type(error).__name__)
