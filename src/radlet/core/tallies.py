"""Counts that are gathered apart, one tally a shard, and added up; they cross between processes as JSON."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Tally(BaseModel):
    """Base of the tallies: every field is a tally, a ``Counter``, or ``dict`` of what a field may be."""

    model_config = ConfigDict(extra="forbid")

    def absorb(self, other: Self) -> None:
        """Add the counts of another; keys that are new come last, in the order in which `other` holds them."""
        for name in type(self).model_fields:
            _add(getattr(self, name), getattr(other, name))


def _add(own: Any, other: Any) -> None:
    if isinstance(own, Tally):
        own.absorb(other)
        return
    for key, value in other.items():
        if isinstance(value, int):
            own[key] += value
        else:
            _add(own.setdefault(key, type(value)()), value)
