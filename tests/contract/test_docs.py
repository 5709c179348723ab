"""The documentation must not point at what is not there, nor name what the code does not know.

That the pages under ``docs/reference`` are fresh is seen to by ``make check``.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is missing"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def test_the_readme_lists_every_command_and_no_other():
    from typer.main import get_command

    from radlet.cli import app

    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Commands")[1].split("## On your own films")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = {word for cell in first_cells for word in re.findall(r"`(?:radlet )?([a-z]+(?:-[a-z]+)*)", cell)}
    assert listed == set(get_command(app).commands)


def test_the_makefile_has_the_verbs_of_the_readme():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for verb in re.findall(r"^make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert re.search(rf"^{verb}:", makefile, flags=re.MULTILINE), verb
