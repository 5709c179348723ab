"""Configuration: sparse TOML by hand, frozen pydantic models in code, complete JSON beside every result."""

import copy
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radlet.core.errors import ConfigError, UnknownNameError
from radlet.core.registry import Registry, nearest


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused, field docstrings kept for help and docs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


C = TypeVar("C", bound=Config)


class StageConfig(Config):
    """What every stage has in common."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"name", "runs_dir"})
    """Fields that change where or how fast a stage works but not what it makes; they do not tell runs apart."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    """Short name of the recipe, part of its folder's name; letters, digits, dots, dashes, underscores, no dot first."""
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
        UnknownNameError: A ``kind`` names nothing in its registry.
    """
    values = read_toml(recipe) if recipe else {}
    values.update(copy.deepcopy(given))
    for override in overrides or []:
        _apply_override(values, override)
    where = str(recipe) if recipe else cls.__name__
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(cls, error)}") from None
    except (ConfigError, UnknownNameError) as error:  # from a component that a validator looked up and loaded
        raise type(error)(f"{where}: {error}") from None


def of_its_kind(registry: Registry, value: Any) -> Any:
    """Return a table with a ``kind`` as the configuration that the registry holds under that name; else as it is.

    For the validators of fields that hold any entry of a registry.

    Raises:
        ConfigError: The table tells no kind, or a value or key of it is not allowed.
        UnknownNameError: The registry does not know the kind.
    """
    if not isinstance(value, dict):
        return value
    if "kind" not in value:
        raise ConfigError(f"a table of {registry.kind} needs its 'kind'.{nearest('', list(registry))}")
    return load_config(registry[str(value["kind"])], None, **value)


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
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "recipe"
        if item["type"] == "extra_forbidden":
            clauses.append(f"unknown key '{where}'.{nearest(str(item['loc'][-1]), _keys(cls, item['loc'][:-1]))}")
        elif item["type"] == "missing":
            clauses.append(f"'{where}' is required.")
        else:
            message = item["msg"].removeprefix("Value error, ").rstrip(".")
            given = item["input"] if isinstance(item["input"], bool | int | float | str) else None
            clauses.append(f"'{where}': {message}{'' if given is None else f' (given: {given!r})'}.")
    return " ".join(clauses)


def _keys(cls: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """List the keys allowed at `path`; indices and the tags of unions on the way name no field and are passed over."""
    models = [cls]
    for part in path:
        found = [inner for model in models for inner in models_in(_annotation(model, str(part)))]
        models = found or models
    return sorted({key for model in models for key in model.model_fields})


def _annotation(model: type[BaseModel], key: str) -> Any:
    return model.model_fields[key].annotation if key in model.model_fields else None


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models inside ``X``, ``X | None``, ``list[X]``, ``dict[str, X]`` and their nestings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
