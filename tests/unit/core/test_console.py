import subprocess
import sys
from io import StringIO

from rich.console import Console

from radlet.core import console as module
from radlet.core.console import Progress, make_console


def pipe() -> Console:
    return Console(file=StringIO(), force_terminal=False, width=80)


def text_of(console: Console) -> str:
    return console.file.getvalue()


def test_tracking_yields_every_item_in_order():
    assert list(Progress(pipe()).track(range(5), "work", total=5)) == [0, 1, 2, 3, 4]
    assert list(Progress(Console(file=StringIO(), force_terminal=True)).track(range(5), "work", total=5)) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_short_work_prints_nothing_where_nobody_watches():
    console = pipe()
    list(Progress(console).track(range(1000), "work"))
    assert text_of(console) == ""


def test_long_work_prints_a_line_now_and_then(monkeypatch):
    seconds = iter(range(0, 1000, 7))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))
    console = pipe()
    list(Progress(console).track(range(9), "work", total=9))
    assert text_of(console).splitlines()[0] == "  work: 2/9"
    assert 2 <= len(text_of(console).splitlines()) < 9


def test_quiet_work_is_quiet_on_a_terminal_too(monkeypatch):
    seconds = iter(range(0, 10000, 100))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))
    console = Console(file=StringIO(), force_terminal=True)
    list(Progress(console, quiet=True).track(range(9), "work"))
    assert text_of(console) == ""


def test_messages_go_to_standard_error():
    assert make_console().stderr


def test_results_alone_stand_on_standard_output():
    script = """
from radlet.core.console import Progress
progress = Progress()
progress.console.print("said")
list(progress.track([1, 2], "work"))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert "said" in done.stderr
