"""Write ``docs/reference/`` from the code: a page a stage, a page a registry, and the command line.

``--check`` writes nothing and fails when a page is out of date. Run by ``make docs`` and ``make check``.
"""

import argparse
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import radlet
from radlet.core.config import models_in
from radlet.core.registry import Registry
from radlet.metrics.base import Metric
from radlet.models.language_families import language_families
from radlet.models.templates import prompt_templates
from radlet.models.weight_records import weight_records
from radlet.pacs.settings import PacsConfig
from radlet.stages.check import stage_config, stage_names
from radlet.stages.grid import GridConfig
from radlet.stages.serve import ServeRecipe

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTICE = "<!-- Written by `make docs` from the code. Do not edit. -->\n"
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of", "min_length": "length ≥"}


def main() -> int:
    """Write the pages, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    pages = {name: f"{NOTICE}\n{text.strip()}\n" for name, text in make_pages()}
    if parser.parse_args().check:
        return check(pages)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages in {FOLDER}")
    return 0


def check(pages: dict[str, str]) -> int:
    """Compare the pages on disk with those the code gives."""
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in pages.keys() | written.keys() if pages.get(name) != written.get(name))
    if stale:
        print(f"docs/reference is out of date: {', '.join(stale)}. Run: make docs", file=sys.stderr)
    return 1 if stale else 0


def make_pages() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every page."""
    for name in stage_names():
        config = stage_config(name)
        if config:
            title = f"# Recipe of `{name}`\n\n{first_paragraph(config)}\n"
            yield f"{name}.md", f"{title}\n" + "\n".join(config_tables(config))
    for kind, registry in sorted(find_registries().items()):
        yield f"{kind}.md", f"# {kind.capitalize()}\n\n" + "\n".join(registry_entries(registry))
    yield "grid.md", f"# Grid of `ablate`\n\n{first_paragraph(GridConfig)}\n\n" + "\n".join(config_tables(GridConfig))
    for name, recipe in (("serve", ServeRecipe), ("node", PacsConfig)):
        yield f"{name}.md", f"# Recipe of `{name}`\n\n{first_paragraph(recipe)}\n\n" + "\n".join(config_tables(recipe))
    yield "models.md", f"# Published models\n\n{published_models()}"
    yield "cli.md", command_line()


def find_registries() -> dict[str, Registry]:
    """Return every registry of the package by kind."""
    packages = [info.name for info in pkgutil.walk_packages(radlet.__path__, "radlet.") if info.ispkg]
    values = [value for name in packages for value in vars(importlib.import_module(name)).values()]
    return {value.kind: value for value in values if isinstance(value, Registry)}


def registry_entries(registry: Registry) -> Iterator[str]:
    """Yield a section for each entry that has a configuration, one line for the others."""
    entries = {name: registry[name] for name in sorted(registry)}
    if all(isinstance(entry, Metric) for entry in entries.values()):
        yield from metric_rows(entries)
        return
    for name, entry in entries.items():
        if isinstance(entry, type) and issubclass(entry, BaseModel):
            yield f"## `{name}`\n\n{first_paragraph(entry)}\n"
            yield from config_tables(entry)
        else:
            yield f"- `{name}`: {first_paragraph(entry)}"


def metric_rows(metrics: dict[str, Metric]) -> Iterator[str]:
    """Yield a table of the facts that every metric states, and what each is, one line for those of one kind."""
    yield "| metric | range | better | version | reads | empty text | source |\n|---|---|---|---|---|---|---|"
    for name, metric in metrics.items():
        cells = (metric.range, metric.direction or "a description", str(metric.version), metric.reads)
        yield f"| `{name}` | {' | '.join((*cells, one_line(metric.empty), one_line(metric.source)))} |"
    yield ""
    for summary in dict.fromkeys(metric.summary for metric in metrics.values()):
        names = ", ".join(f"`{name}`" for name, metric in metrics.items() if metric.summary == summary)
        yield f"- {names}: {summary}"


def config_tables(config: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield a table of the keys of `config`, then one for each table nested in it."""
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    nested: list[tuple[str, type[BaseModel]]] = []
    for key, field in config.model_fields.items():
        models = list(models_in(field.annotation))
        nested += [(f"{prefix}{key}", model) for model in models]
        meaning = one_line(field.description or "")
        yield f"| `{prefix}{key}` | {type_text(field)} | {default_text(field, bool(models))} | {meaning} |"
    yield ""
    for key, model in nested:
        several = sum(other == key for other, _ in nested) > 1
        kind: Any = model.model_fields["kind"].annotation if several and "kind" in model.model_fields else None
        yield f"### `[{key}]`{''.join(f' of kind `{word}`' for word in get_args(kind))}\n\n{first_paragraph(model)}\n"
        yield from config_tables(model, f"{key}.")


def type_text(field: FieldInfo) -> str:
    """Return the type of a field with its bounds, as a table cell."""
    annotation = without_bounds(field.annotation)
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    name = re.sub(r"\b(?:\w+\.)+(?=\w)", "", name)
    bounds = [
        f"{sign} {getattr(item, attribute)}"
        for item in field.metadata
        for attribute, sign in BOUNDS.items()
        if getattr(item, attribute, None) is not None
    ]
    return ", ".join([f"`{name}`", *bounds]).replace("|", "\\|")


def without_bounds(annotation: Any) -> Any:
    """Return a type without what is annotated of its parts, which would fill the cell."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return without_bounds(parts[0])
    if origin in (None, Literal) or not parts:
        return annotation
    plain = tuple(without_bounds(part) for part in parts)
    return reduce(or_, plain) if origin in (Union, UnionType) else origin[plain]


def default_text(field: FieldInfo, is_table: bool) -> str:
    """Return the default of a field as it would stand in TOML."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if is_table and value:
        return "its defaults"
    return f"`{json.dumps(value, default=str)}`".replace("|", "\\|")


def first_paragraph(thing: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return one_line((getattr(thing, "__doc__", None) or "").split("\n\n")[0])


def one_line(text: str) -> str:
    """Fold a text onto one line that can stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def published_models() -> str:
    """Return the tables of weights, families of language models, and prompt families."""
    lines = ["| name | what | GB | licence | published as | films | note |\n|---|---|---|---|---|---|---|"]
    for name, record in weight_records().items():
        cells = (record.title, f"{record.size_gb:g}", record.licence, f"{record.publisher}: {record.repository}")
        lines.append(f"| `{name}` | {' | '.join((*cells, record.preprocessing, record.note))} |")
    lines.append("\n| `model_type` | language models | prompt families | linear layers |\n|---|---|---|---|")
    for name, family in language_families().items():
        prompts, layers = (", ".join(f"`{one}`" for one in some) for some in (family.templates, family.linear_layers))
        lines.append(f"| `{name}` | {family.models} | {prompts} | {layers} |")
    lines.append("\n| prompt family | of | ends with | token ids held against |\n|---|---|---|---|")
    for name, template in prompt_templates().items():
        end = f"`{one_line(template.end_of_answer)}`" if template.end_of_answer else "the tokenizer's end token"
        lines.append(f"| `{name}` | {template.models} | {end} | {template.checked} |")
    return "\n".join(lines)


def command_line() -> str:
    """Return what every command of radlet says of itself."""
    command = [
        sys.executable,
        "-m",
        "typer",
        "radlet.cli",
        "utils",
        "docs",
        "--name",
        "radlet",
        "--title",
        "Command line",
    ]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
