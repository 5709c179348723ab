"""Adapters: what a low-rank tuning learnt, kept beside its base checkpoint instead of in it.

A folder in peft's own format, which peft loads over the base without radlet: ``adapter_config.json`` and
``adapter_model.safetensors`` with the updates and every module outside the language model that trained (peft's
`modules_to_save`). ``radlet_adapter.json`` adds what peft has no place for.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import ModulesToSaveWrapper
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from radlet import __version__
from radlet.core.config import Config, of_its_kind
from radlet.core.errors import CheckpointError, ConfigError, UnknownNameError
from radlet.core.registry import nearest
from radlet.core.runs import sha256_file, sha256_text, write_atomically
from radlet.models.freezing import part_of
from radlet.models.frozen_loading import FrozenForm
from radlet.models.report_model import ModelCard, ReportModel, checkpoint_folder, load_report_model
from radlet.models.tunings import TUNINGS
from radlet.models.tunings.base import Tuning

ADAPTER_CARD = "radlet_adapter.json"
_WEIGHTS = "adapter_model.safetensors"
_NAME = "default"
_PREFIX = "base_model.model."
"""What peft puts before the names of the base model's modules."""


class AdapterCard(Config):
    """What the adapter's weights alone do not tell."""

    radlet_version: str
    """Version that wrote the adapter."""
    base_digest: str
    """Hash of the weights of the checkpoint it was trained over; checked at load."""
    tuning: dict[str, Any]
    """The tuning method and its settings."""
    card: ModelCard
    """Of the model that base and adapter make together."""

    @property
    def method(self) -> Tuning:
        """The tuning method."""
        method: Tuning = of_its_kind(TUNINGS, self.tuning)
        return method

    @property
    def base_form(self) -> str:
        """The form that the base weights take under this adapter: adapters of one form can share a base."""
        return str(self.tuning.get("quantisation", "plain"))


def weights_digest(folder: Path) -> str:
    """Return a hash of a checkpoint's weights, whatever their file's dates and place.

    Raises:
        CheckpointError: The folder holds none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder}: holds no weights (*.safetensors). Give the folder of a checkpoint.")
    return sha256_text("\n".join(f"{file.name} {sha256_file(file)}" for file in files))


def save_adapter(report_model: ReportModel, tuning: Tuning, base_digest: str, folder: Path) -> None:
    """Write what trained as an adapter; the model still holds the updates apart from its weights.

    Args:
        report_model: With the updates of `tuning` applied, and the card of the tuned model.
        tuning: The method.
        base_digest: `weights_digest` of the checkpoint that was tuned.
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = report_model.model
    modules = list(_trained_modules(model))
    tensors = dict(get_peft_model_state_dict(model, adapter_name=_NAME, save_embedding_layers=False))
    for name in modules:
        tensors |= {f"{name}.{key}": tensor for key, tensor in model.get_submodule(name).state_dict().items()}
    contiguous = {f"{_PREFIX}{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / _WEIGHTS, metadata={"format": "pt"})
    config = copy.copy(model.peft_config[_NAME])
    config.modules_to_save, config.inference_mode = modules or None, True
    config.save_pretrained(folder)
    card = AdapterCard(
        radlet_version=__version__,
        base_digest=base_digest,
        tuning=tuning.model_dump(mode="json"),
        card=report_model.card,
    )
    write_atomically(folder / ADAPTER_CARD, card.model_dump_json(indent=2) + "\n")


def adapter_folder(path: Path) -> Path:
    """Return the folder of the adapter, given it or the run directory around it."""
    return path / "adapter" if (path / "adapter").is_dir() else path


def read_adapter_card(folder: Path) -> AdapterCard:
    """Read ``radlet_adapter.json``.

    Raises:
        CheckpointError: The folder has none, or it cannot be read.
    """
    path = folder / ADAPTER_CARD
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: is no radlet adapter (no {ADAPTER_CARD} in it). Give the folder adapter/ that a finetune run "
            "with a low-rank tuning left."
        )
    try:
        return AdapterCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


class AdapterSet:
    """One base model in memory and named adapters over it; switching copies nothing.

    Args:
        checkpoint: The base, a folder or the run that holds one.
        adapters: Folders of adapters, or runs that hold one, by the name they are asked for.
        in_fp32: Compute in fp32, as in training, rather than in the dtype that the base is stored in.

    Raises:
        CheckpointError: An adapter is broken, was trained over other weights, or needs the base in another form.
        ConfigError: There are no adapters.
    """

    def __init__(self, checkpoint: Path, adapters: Mapping[str, Path], in_fp32: bool = False) -> None:
        if not adapters:
            raise ConfigError("A set of adapters needs one at least.")
        folder = checkpoint_folder(checkpoint)
        digest = weights_digest(folder)
        folders = {name: adapter_folder(path) for name, path in adapters.items()}
        self.cards = {name: _card_over(path, folder, digest) for name, path in folders.items()}
        _check_one_form(folders, self.cards)
        method = next(iter(self.cards.values())).method
        self._base = load_report_model(folder, FrozenForm(method.base_quantisation))
        if in_fp32:
            self._base.model.float()
        self._peft: PeftModel | None = None
        for name, path in folders.items():
            self._load(name, path)

    def use(self, name: str) -> ReportModel:
        """Make the named adapter the one in effect and return the model with it.

        Every model that was returned before is the same one in memory, and changes with it.

        Raises:
            UnknownNameError: There is no such adapter.
        """
        if name not in self.cards or self._peft is None:
            raise UnknownNameError(f"No adapter is called '{name}'.{nearest(name, list(self.cards))}")
        self._peft.set_adapter(name, inference_mode=True)
        return ReportModel(self._base.model, self._base.tokenizer, self.cards[name].card)

    def _load(self, name: str, folder: Path) -> None:
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self._base.model, folder, adapter_name=name)
            else:
                self._peft.load_adapter(folder, name)
            with safe_open(folder / _WEIGHTS, "pt") as file:
                stored = set(file.keys())
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: no adapter could be loaded: {str(error).splitlines()[0]}") from None
        held = set(get_peft_model_state_dict(self._peft, adapter_name=name, save_embedding_layers=False))
        if held != stored:
            raise CheckpointError(
                f"{folder}: the weights do not fit adapter_config.json: {len(held - stored)} are missing and "
                f"{len(stored - held)} left over. Finetune again, or copy the folder anew."
            )
        self._base.model.eval()


def merge_adapters(checkpoint: Path, adapters: Sequence[tuple[Path, float]]) -> ReportModel:
    """Return a plain report model: the base, and every adapter's change of it times its weight.

    The sums are taken in fp32, whatever the base is stored in, and so is the result. One adapter of weight 1 gives the
    model that was trained, to the rounding of one addition. Several add up, updates and projector alike:
    ``base + sum of weight x (merged - base)``. The card is that of the first.

    Raises:
        CheckpointError: An adapter is broken, was trained over other weights, or needs the base in another form.
    """
    folder = checkpoint_folder(checkpoint)
    digest = weights_digest(folder)
    folders = {str(number): adapter_folder(path) for number, (path, _) in enumerate(adapters)}
    cards = {name: _card_over(path, folder, digest) for name, path in folders.items()}
    _check_one_form(folders, cards)
    first = _merged(folder, folders["0"])
    if [weight for _, weight in adapters] == [1.0]:
        return first
    method = cards["0"].method
    plain = load_report_model(folder, FrozenForm(method.base_quantisation))
    base = method.merge(plain.model.float()).state_dict()
    total = {name: tensor.clone() for name, tensor in base.items()}
    for number, (path, weight) in enumerate(adapters):
        model = (first if number == 0 else _merged(folder, adapter_folder(path))).model
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not torch.equal(tensor, base[name]):
                total[name] += weight * (tensor - base[name])
    first.model.load_state_dict(total)
    return first


@torch.no_grad()
def _merged(checkpoint: Path, folder: Path) -> ReportModel:
    adapted = AdapterSet(checkpoint, {_NAME: folder}, in_fp32=True)
    report_model = adapted.use(_NAME)
    model = adapted.cards[_NAME].method.merge(report_model.model)
    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            model.set_submodule(name, module.modules_to_save[_NAME])
    return ReportModel(model, report_model.tokenizer, report_model.card)


def _card_over(folder: Path, checkpoint: Path, digest: str) -> AdapterCard:
    card = read_adapter_card(folder)
    if card.base_digest != digest:
        raise CheckpointError(
            f"{folder}: was trained over weights {card.base_digest[:12]}, and {checkpoint} holds {digest[:12]}. Give "
            "the checkpoint it was trained from."
        )
    return card


def _check_one_form(folders: Mapping[str, Path], cards: Mapping[str, AdapterCard]) -> None:
    forms = {card.base_form: folders[name] for name, card in cards.items()}
    if len(forms) > 1:
        told = ", ".join(f"{folder} ({form})" for form, folder in forms.items())
        raise CheckpointError(f"These adapters need their base in different forms: {told}. Use them apart.")


def _trained_modules(model: nn.Module) -> Iterator[str]:
    """Yield the largest modules outside the language model whose every parameter trained."""
    covered: tuple[str, ...] = ()
    for name, module in model.named_modules():
        parameters = [(f"{name}.{key}", parameter) for key, parameter in module.named_parameters()]
        if not name or not parameters or name.startswith(covered or ("\n",)):
            continue
        if all(part_of(key) != "language_model" and parameter.requires_grad for key, parameter in parameters):
            covered = (*covered, f"{name}.")
            yield name
