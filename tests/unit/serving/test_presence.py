from datetime import UTC, datetime, timedelta

import pytest

from radlet.serving import presence
from radlet.serving.access import Caller
from radlet.serving.presence import STAYS, Presence


class Clock(datetime):
    """A clock that is turned by hand."""

    moment = datetime(2026, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return cls.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(presence, "datetime", Clock)
    return Clock


def caller(name: str, role: str = "reader", entry: str = "1") -> Caller:
    return Caller(name, frozenset({role}), entry)


def test_colleagues_are_told_until_they_leave(clock: type[Clock]) -> None:
    room = Presence()
    anna, ben = caller("anna"), caller("ben")
    assert room.note(anna, "study") == []
    began = clock.moment
    clock.moment += timedelta(seconds=30)
    room.note(anna, "study")
    assert [(one.account, one.opened_at) for one in room.note(ben, "study")] == [("anna", began)]
    assert [one.account for one in room.note(anna, "study")] == ["ben"]
    room.note(anna, "other")
    assert room.note(ben, "study") == []
    clock.moment += STAYS
    assert room.note(anna, "study") == []


def test_one_account_is_one_colleague(clock: type[Clock]) -> None:
    room = Presence()
    room.note(caller("anna", entry="1"), "study")
    assert room.note(caller("anna", entry="2"), "study") == []
    assert [one.account for one in room.note(caller("ben"), "study")] == ["anna"]
