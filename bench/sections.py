"""Print how much of real reports the section parser finds again when they are written out in the forms of institutions.

    python bench/sections.py [../shared/data] [--show STYLE]

The Indiana reports come cut into indication, comparison, findings and impression. Each is joined to one text in every
style below, parsed, and compared section by section, white space aside. A report counts as recovered when all its
sections come back and nothing else; every text's spans are also checked to cover it.
"""

import argparse
import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from radlet.data.sections import find_spans, parse_sections

Sections = dict[str, str]
NAMES = ("indication", "comparison", "findings", "impression")
SYNONYMS = {
    "indication": ("Reason for exam", "Clinical information", "Clinical indication", "Indications", "Reason for study"),
    "comparison": ("Prior studies", "Comparison studies", "Comparisons", "Previous exams", "Comparison exam"),
    "findings": ("Findings", "Radiographic findings", "Description", "Chest findings", "Finding(s)"),
    "impression": ("Conclusion", "Opinion", "Impressions", "Impression and recommendations", "Summary"),
}


def lines(heading: Callable[[str], str], between: str = "\n") -> Callable[[Sections], str]:
    """Return a style that joins headings and texts."""
    return lambda sections: between.join(f"{heading(name)}{text}" for name, text in sections.items())


def synonyms(sections: Sections) -> str:
    """Name the sections by other words, chosen by the length of the text."""
    chosen = {name: SYNONYMS[name][len(text) % 5] for name, text in sections.items()}
    return "\n".join(f"{chosen[name].upper()}: {text}" for name, text in sections.items())


def numbered(sections: Sections) -> str:
    """Number the sentences of the impression, a line each."""
    listed = dict(sections)
    if "impression" in listed:
        items = listed["impression"].split(". ")
        listed["impression"] = "\n" + "\n".join(f"{number}) {item}" for number, item in enumerate(items, 1))
    return lines(lambda name: f"{name.upper()}: ")(listed)


def wrapped(sections: Sections) -> str:
    """Wrap at 60 columns and indent, under a banner, as hospital systems print."""
    paragraphs = (f"{name.upper()}:  {text}" for name, text in sections.items())
    return "FINAL REPORT\n" + "\n\n".join(
        textwrap.indent(textwrap.fill(part, 60, break_on_hyphens=False), " ") for part in paragraphs
    )


def addendum(sections: Sections) -> str:
    """Add an addendum and a wet read around the report."""
    report = lines(lambda name: f"{name.upper()}: ")(sections)
    return f"WET READ: No change.\nFINAL REPORT\n{report}\nADDENDUM: Results were reviewed."


def merged(sections: Sections) -> str:
    """Put findings and impression under one heading."""
    rest = {name: text for name, text in sections.items() if name not in ("findings", "impression")}
    both = " ".join(sections[name] for name in ("findings", "impression") if name in sections)
    return lines(lambda name: f"{name.upper()}: ")(rest | ({"findings and impression": both} if both else {}))


STYLES: dict[str, Callable[[Sections], str]] = {
    "FINDINGS: text": lines(lambda name: f"{name.upper()}: "),
    "Findings: text": lines(lambda name: f"{name.capitalize()}: "),
    "findings: text": lines(lambda name: f"{name}: "),
    "FINDINGS / text": lines(lambda name: f"{name.upper()}\n", "\n\n"),
    "Findings / text": lines(lambda name: f"{name.capitalize()}\n", "\n\n"),
    "Findings - text": lines(lambda name: f"{name.capitalize()} - "),
    "FINDINGS. text": lines(lambda name: f"{name.upper()}. "),
    "**Findings:** text": lines(lambda name: f"**{name.capitalize()}:** "),
    "## Findings": lines(lambda name: f"## {name.capitalize()}\n"),
    "[FINDINGS] text": lines(lambda name: f"[{name.upper()}] "),
    "1. FINDINGS: text": lines(lambda name: f"1. {name.upper()}: "),
    "one line, FINDINGS:": lines(lambda name: f"{name.upper()}: ", " "),
    "one line, Findings:": lines(lambda name: f"{name.capitalize()}: ", " "),
    "one line, findings:": lines(lambda name: f"{name}: ", " "),
    "FINDINGS text": lines(lambda name: f"{name.upper()} "),
    "one line, FINDINGS text": lines(lambda name: f"{name.upper()} ", " "),
    "Windows line ends": lines(lambda name: f"{name.upper()}:\r\n", "\r\n\r\n"),
    "all in capitals": lambda sections: lines(lambda name: f"{name}: ")(sections).upper(),
    "other words": synonyms,
    "numbered impression": numbered,
    "wrapped, banner": wrapped,
    "wet read, addendum": addendum,
    "merged heading": merged,
    "no headings": lambda sections: "\n".join(sections.values()),
}


def expected(style: str, sections: Sections) -> Sections:
    """Return what the parser should find in a report of a style."""
    want = dict(sections)
    if style == "no headings":
        return {"findings": " ".join(sections.values())}
    if style == "merged heading":
        both = " ".join(want.pop(name) for name in ("findings", "impression") if name in sections)
        return want | ({"findings": both} if both else {})
    if style == "wet read, addendum":
        judged = "comparison"  # The addendum below is an impression, so there always is a later reading.
        want[judged] = f"No change. {want.get(judged, '')}"
        want["impression"] = f"{want.get('impression', '')} Results were reviewed."
    if style == "numbered impression" and "impression" in want:
        items = enumerate(want["impression"].split(". "), 1)
        want["impression"] = " ".join(f"{number}) {item}" for number, item in items)
    return {name: text.upper() for name, text in want.items()} if style == "all in capitals" else want


def plain(sections: Sections) -> Sections:
    """Return the sections with single spaces."""
    return {name: " ".join(text.split()) for name, text in sections.items()}


def load(data_dir: Path) -> list[Sections]:
    """Return the sections of every report that has any."""
    reports = []
    for split in ("train", "dev"):
        for line in (data_dir / f"text/iu_reports.{split}.jsonl").read_text().splitlines():
            study = json.loads(line)
            sections = {name: study[name].strip() for name in NAMES if (study[name] or "").strip()}
            if sections:
                reports.append(sections)
    return reports


def recovered(style: str, sections: Sections) -> tuple[int, int, bool]:
    """Return how many sections come back, how many there are, and whether the report comes back as a whole."""
    report = STYLES[style](sections)
    if "".join(report[span.start : span.end] for span in find_spans(report)) != report:
        raise SystemExit(f"{style}: spans do not cover a report")
    want, got = plain(expected(style, sections)), plain(parse_sections(report))
    return sum(got.get(name) == text for name, text in want.items()), len(want), got == want


def main() -> None:
    """Print a row a style, or the reports that one style loses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--show", choices=tuple(STYLES))
    args = parser.parse_args()
    reports = load(args.data_dir)
    if args.show:
        for sections in reports:
            if not recovered(args.show, sections)[2]:
                print(f"{STYLES[args.show](sections)}\n-> {parse_sections(STYLES[args.show](sections))}\n")
        return
    print(f"{len(reports)} reports\n{'style':<26}{'sections':>10}{'reports':>10}")
    begun, results = time.process_time(), []
    for style in STYLES:
        found = [recovered(style, sections) for sections in reports]
        right, wanted, whole = (sum(column) for column in zip(*found, strict=True))
        results.append((right, wanted, whole))
        print(f"{style:<26}{right / wanted:>10.2%}{whole / len(reports):>10.2%}")
    right, wanted, whole = (sum(column) for column in zip(*results, strict=True))
    print(f"{'all':<26}{right / wanted:>10.2%}{whole / len(reports) / len(STYLES):>10.2%}")
    # Each report is cut twice: for its spans and for its sections.
    print(f"{2 * len(reports) * len(STYLES) / (time.process_time() - begun):,.0f} reports a second")


if __name__ == "__main__":
    main()
