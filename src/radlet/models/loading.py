"""Strict loading of a transformers model from a local folder: every weight placed, what is left over counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel

from radlet.core.errors import CheckpointError
from radlet.models.frozen_loading import FrozenForm

LOADING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers raises over a folder that is damaged, cut short, or holds values of other types than it expects."""


@dataclass(frozen=True)
class Loaded:
    """A model and what of its folder had no part in it.

    Attributes:
        model: The model.
        left: ``start of a name -> keys of the file that were left out``, by the rule of the family.
        fresh: Weights that the file does not hold and nothing reads, drawn at random by the rule of the family.
    """

    model: PreTrainedModel
    left: dict[str, int]
    fresh: tuple[str, ...]


def read_weights(
    model_class: Any, path: Path, what: str, frozen: FrozenForm | None = None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read a model from safetensors, and what did not fit: kind of misfit -> names.

    Args:
        model_class: Class, or Auto class, of transformers.
        path: Local folder.
        what: For messages.
        frozen: Form that weights take while they are read; by default they are as stored.

    Raises:
        CheckpointError: The folder holds no such model, or holds it in pickles.
    """
    if not path.is_dir():  # transformers would take it for the name of a model on a hub
        raise CheckpointError(f"{path}: is no folder. Give the local folder of a {what}.")
    _check_files(path, what)
    form = {"quantization_config": frozen} if frozen is not None and frozen.changes_something else {}
    try:
        model, misfits = model_class.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named and refused by who asks, which transformers does not
            **form,
        )
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{path}: no {what} could be loaded: {first_line(error)}") from None
    return model, misfits


def load_strictly(
    model_class: Any,
    path: Path,
    what: str,
    *,
    may_be_left: Sequence[str] = (),
    may_be_fresh: Sequence[str] = (),
    frozen: FrozenForm | None = None,
) -> Loaded:
    """Load a model from safetensors; no weight may be missing, of another shape or left over without a rule.

    Args:
        model_class: Class, or Auto class, of transformers.
        path: Local folder.
        what: For messages: "vision tower", "language model".
        may_be_left: Starts of names of the file that belong to other parts of the same checkpoint.
        may_be_fresh: Starts of names of weights that nothing here reads and that the file may lack.
        frozen: Form that weights take while they are read; by default they are as stored.

    Raises:
        CheckpointError: The folder holds no such model, holds it in pickles, or its weights do not fit.
    """
    model, info = read_weights(model_class, path, what, frozen)
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(tuple(may_be_fresh)))
    extra = sorted(name for name in info["unexpected_keys"] if not name.startswith(tuple(may_be_left)))
    other = sorted(str(item[0] if isinstance(item, tuple) else item) for item in info["mismatched_keys"])
    problems = [
        f"{len(names)} weights {how} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for how, names in (("are missing", missing), ("are too many", extra), ("have another shape", other))
        if names
    ]
    if problems or info["error_msgs"]:
        raise CheckpointError(
            f"{path}: the weights do not fit a {type(model).__name__}: {'; '.join(problems) or info['error_msgs'][0]}. "
            f"Give a {what} whose weights are complete."
        )
    left = Counter(next(start for start in may_be_left if name.startswith(start)) for name in info["unexpected_keys"])
    return Loaded(model, dict(left), tuple(sorted(info["missing_keys"])))


def first_line(error: Exception) -> str:
    """Return what an error says, in short."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _check_files(path: Path, what: str) -> None:
    """Refuse a folder that keeps its weights in pickles alone, in words that tell the way out."""
    if not any(path.glob("*.safetensors")) and any(path.glob("pytorch_model*.bin")):
        raise CheckpointError(
            f"{path}: keeps its weights in pytorch_model.bin; radlet reads a {what} from safetensors only. Save it as "
            "safetensors once (save_pretrained of transformers does), or fetch the safetensors file."
        )
