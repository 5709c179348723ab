"""Bring frozen weights into their final form while they are read, one tensor at a time.

Read in full and quantised afterwards, a model of 7B needs the memory of the full one once, for nothing. transformers
lets a quantiser take each tensor between the file and the module; this one quantises the blocks of the language model,
rounds other frozen parts to bfloat16, and leaves no trace in the model but the layers themselves.
"""

import ctypes
import mmap
import sys
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel
from transformers.core_model_loading import ConversionOps
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from radlet.models.freezing import part_of
from radlet.models.quantisations.base import QuantisedLinear
from radlet.models.quantised import find_form, quantised_layer
from radlet.models.tunings.targets import linear_layers

_METHOD = "radlet_frozen"
_MADV_DONTNEED = 4  # of sys/mman.h


@register_quantization_config(_METHOD)
class FrozenForm(QuantizationConfigMixin):  # type: ignore[misc]
    """The form in which weights that will not train are held from the moment they are read.

    Args:
        quantisation: Name of the form of the linear layers in the blocks of the language model; None: as stored.
        bf16_parts: Parts whose other weights are rounded to bfloat16; of the rest of the parts they are as stored.

    Raises:
        ConfigError: The package that quantises is not installed.
    """

    def __init__(self, quantisation: str | None = None, bf16_parts: frozenset[str] = frozenset()) -> None:
        self.quant_method = _METHOD
        self.form: type[QuantisedLinear] | None = find_form(quantisation) if quantisation else None
        self.bf16_parts = bf16_parts

    @property
    def changes_something(self) -> bool:
        """Whether weights differ from how they are stored."""
        return self.form is not None or bool(self.bf16_parts)


@register_quantizer(_METHOD)
class _FrozenQuantizer(HfQuantizer):  # type: ignore[misc]
    """What transformers asks while it reads."""

    quantization_config: FrozenForm

    def __init__(self, quantization_config: FrozenForm, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self.waiting: set[str] = set()

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        """Note what will be quantised; give the rest the dtype it is read to. Nothing has memory yet."""
        form = self.quantization_config
        if form.form is not None:
            layers = {id(target.layer) for target in linear_layers(model)}
            self.waiting = {f"{name}.weight" for name, module in model.named_modules() if id(module) in layers}
        for name, module in model.named_modules():
            if part_of(f"{name}.") in form.bf16_parts and not isinstance(module, _BatchNorm):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.bfloat16()

    def param_needs_quantization(self, model: PreTrainedModel, param_name: str, **_: Any) -> bool:  # noqa: ARG002
        return param_name in self.waiting

    def get_quantize_ops(self) -> ConversionOps:
        return _Quantise(self.quantization_config.form, self.waiting)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        """Take back what transformers noted: to it, the model is a plain one again, and can be saved when merged."""
        self.remove_quantization_config(model)
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                vars(module.config).pop("_is_quantized", None)

    def is_serializable(self) -> bool:
        return False

    @property
    def is_trainable(self) -> bool:
        return True


class _Quantise(ConversionOps):  # type: ignore[misc]
    """Put a quantised layer in the place of the plain one whose weight has come."""

    def __init__(self, form: Any, waiting: set[str]) -> None:
        self._form = form
        self._waiting = waiting

    def convert(
        self,
        input_dict: dict[str, Any],
        model: nn.Module,
        missing_keys: set[str],
        full_layer_name: str,
        **_: Any,
    ) -> dict[str, torch.Tensor]:
        """Return nothing, for the weight is in its place; one of another shape is returned, which is then refused."""
        (found,) = input_dict.values()
        weight: torch.Tensor = found[0] if isinstance(found, list) else found
        name = full_layer_name.removesuffix(".weight")
        plain: Any = model.get_submodule(name)
        self._waiting.discard(full_layer_name)
        if weight.shape != plain.weight.shape:
            return {full_layer_name: weight}
        layer: Any = quantised_layer(plain, weight, self._form)
        for read in (layer, *layer.parameters()):
            read._is_hf_initialized = True  # else transformers draws what is "missing" anew
        model.set_submodule(name, layer)
        missing_keys.discard(full_layer_name)
        _forget_pages(weight)
        return {}


def _forget_pages(tensor: torch.Tensor) -> None:
    """Tell the system that the pages of a file that a tensor lies on are needed no more.

    They are reread where they are asked for again; until then they count as this process's memory.
    """
    if sys.platform != "linux":
        return
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
