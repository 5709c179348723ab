import re
from pathlib import Path

import pytest
from fastapi import HTTPException, Request

from radlet.serving.routes import pages

ROUTES = ("/", "/dashboard")


def asking(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_the_page_is_kept_until_it_changes() -> None:
    answer = pages.start(asking())
    assert (answer.status_code, answer.media_type) == (200, "text/html; charset=utf-8")
    again = pages.start(asking(if_none_match=answer.headers["etag"]))
    assert (again.status_code, again.body) == (304, b"")


def test_the_dashboard_is_a_page_of_its_own() -> None:
    assert b"/static/dashboard.js" in pages.dashboard(asking()).body


@pytest.mark.parametrize("name", ["../pages.py", "__init__.py", "missing.js", ""])
def test_only_the_files_of_the_page_are_given(name: str) -> None:
    with pytest.raises(HTTPException, match="no such file"):
        pages.asset(name, asking())


def test_every_file_that_is_asked_for_is_there_and_none_comes_from_elsewhere() -> None:
    for name, asset in pages.assets().items():
        text = asset.content.decode()
        for asked in re.findall(r"""(?:src|href)="(?:/static/)?([^"#$]+)""", text) if name.endswith(".html") else []:
            assert asked in pages.assets() or asked in ROUTES
        for asked in re.findall(r'from "\./([^"]+)"', text):
            assert asked in pages.assets()
        elsewhere = re.findall(r"https?://(?!www\.w3\.org/(?:2000/svg|1999/xlink))\S+", text)
        assert (name, elsewhere) == (name, [])


@pytest.mark.parametrize("name", [pages.START, pages.DASHBOARD])
def test_nothing_stands_in_a_page_that_a_strict_policy_forbids(name: str) -> None:
    page = pages.assets()[name].content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", page)
    scripts = b"".join(asset.content for name, asset in pages.assets().items() if name.endswith(".js")).decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function|document\.write", scripts)
    assert not re.search(r"console\.", scripts)


def test_the_manual_lists_every_key() -> None:
    rows = re.findall(r'^    \["([^"]+)", "([^"]+)", ', pages.assets()["keys.js"].content.decode(), re.MULTILINE)
    manual = (Path(__file__).resolve().parents[3] / "docs" / "reading-room.md").read_text()
    assert len(rows) > 25
    assert [key for key, words in rows if f"| `{key}` | {words} |" not in manual] == []
