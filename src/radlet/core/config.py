"""Configuration: sparse TOML by hand, frozen pydantic models in code, complete JSON beside every result."""

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from radlet.core.errors import ConfigError
from radlet.core.registry import nearest


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused, field docstrings kept for help and docs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


C = TypeVar("C", bound=Config)


class StageConfig(Config):
    """What every stage has in common."""

    name: str = "run"
    """Short name of the recipe; becomes part of the run directory's name."""
    seed: int = 0
    """Seed of every random choice of the stage."""
    runs_dir: Path = Path("runs")
    """Folder under which the run directory is made."""


def load_config(cls: type[C], recipe: Path | None, overrides: list[str] | None = None, **given: Any) -> C:
    """Read a TOML recipe, lay `given` values and dotted ``key=value`` overrides over it, and validate.

    Args:
        cls: The configuration class of the stage.
        recipe: TOML file, or None for defaults alone.
        overrides: ``["tuning.rank=4", "examples=runs/build/x"]``; values are read as TOML, else as strings.
        given: Values set by the caller (for example upstream run directories); they yield to `overrides`.

    Raises:
        ConfigError: The file cannot be read, or a value or key is not allowed.
    """
    values = read_toml(recipe) if recipe else {}
    values.update(given)
    for override in overrides or []:
        _apply_override(values, override)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        where = str(recipe) if recipe else cls.__name__
        raise ConfigError(f"{where}: {_explain(cls, error)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file.

    Raises:
        ConfigError: The file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.__class__.__name__}). Give the path of a TOML recipe."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}.") from None


def resolved_json(config: Config) -> str:
    """Return the complete configuration as stable, readable JSON."""
    return json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"Override '{override}' is not of the form key=value, for example tuning.rank=4.")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"Override '{override}': '{parent}' is a value, not a table.")
    values[leaf] = value


def _explain(cls: type[Config], error: ValidationError) -> str:
    clauses = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in item["loc"]) or "recipe"
        if item["type"] == "extra_forbidden":
            clauses.append(f"unknown key '{where}'.{nearest(str(item['loc'][-1]), _keys(cls, item['loc'][:-1]))}")
        elif item["type"] == "missing":
            clauses.append(f"'{where}' is required.")
        else:
            clauses.append(f"'{where}': {item['msg']}.")
    return " ".join(clauses)


def _keys(cls: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        annotation = cls.model_fields[str(part)].annotation if str(part) in cls.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        cls = annotation
    return list(cls.model_fields)
