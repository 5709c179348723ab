"""Write tower and projector of a report model as the mmproj file that llama.cpp's own programs read.

radlet's engine does not read it: there, tower and projector stay in torch and films go in as embeddings, which serves
every encoder. The file is for `llama-server` and `llama-mtmd-cli`, whose own code knows some towers only.
"""

from collections.abc import Iterator
from pathlib import Path

import gguf
import torch

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.llama_cpp.files import Tensor, write_tensors
from radlet.inference.llama_cpp.quantization import Quantization
from radlet.models.report_model import ReportModel

PROJECTOR = "mmproj.gguf"
_TOWERS = {"siglip_vision_model", "clip_vision_model"}
_MISTAKEN = {
    "clip_vision_model": "it puts the class token of a CLIP tower behind the patches and drops the first patch (its "
    "issue 25814)"
}
"""Type of a tower that llama.cpp knows and computes wrongly -> how."""
_ACTIVATIONS = {"quick_gelu": False, "gelu": True, "gelu_pytorch_tanh": True}
"""Of the tower -> whether llama.cpp is told to take GELU, which there is always the one by tanh."""
_PROJECTOR_KIND = "mlp"
"""What llama.cpp calls LLaVA's two layers with GELU between them."""
_LAYERS = {"linear_1": 0, "linear_2": 2}
"""Layer of the projector -> its number in llama.cpp, which counts the activation."""


def problem_with_projector(report_model: ReportModel) -> str | None:
    """Return why llama.cpp's own code cannot compute this tower and projector; None if it can."""
    config = report_model.model.config
    tower = config.vision_config
    if tower.model_type in _MISTAKEN:
        return _MISTAKEN[tower.model_type]
    if tower.model_type not in _TOWERS:
        return f"it does not know towers of type '{tower.model_type}', only SigLIP's"
    if tower.hidden_act not in _ACTIVATIONS:
        return f"its towers do not compute '{tower.hidden_act}'"
    if config.projector_hidden_act != "gelu" or not isinstance(config.vision_feature_layer, int):
        return "its projector is two layers with GELU between them over one hidden state, and this model's is not"
    return None


def write_projector(report_model: ReportModel, path: Path, quantization: Quantization, progress: Progress) -> None:
    """Write configuration and weights; matrices take 16 bits unless 32 are asked for.

    Raises:
        CheckpointError: llama.cpp does not know the tower (see `problem_with_projector`).
    """
    problem = problem_with_projector(report_model)
    if problem:
        raise CheckpointError(f"llama.cpp's own code cannot compute this tower and projector: {problem}.")
    tensors = list(_tensors(report_model, quantization))
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.MMPROJ])
    writer.add_type(gguf.GGUFType.MMPROJ)
    _describe(writer, report_model)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if quantization == "F32" else gguf.LlamaFileType.MOSTLY_F16)
    write_tensors(writer, tensors, progress)


def _describe(writer: gguf.GGUFWriter, report_model: ReportModel) -> None:
    config, image = report_model.model.config, report_model.card.image
    tower = config.vision_config
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(_PROJECTOR_KIND)
    writer.add_vision_image_size(tower.image_size)
    writer.add_vision_patch_size(tower.patch_size)
    writer.add_vision_embedding_length(tower.hidden_size)
    writer.add_vision_feed_forward_length(tower.intermediate_size)
    writer.add_vision_head_count(tower.num_attention_heads)
    writer.add_vision_attention_layernorm_eps(tower.layer_norm_eps)
    writer.add_vision_projection_dim(config.text_config.hidden_size)
    writer.add_vision_use_gelu(_ACTIVATIONS[tower.hidden_act])
    writer.add_vision_image_mean([float(value) for value in image["mean"]])
    writer.add_vision_image_std([float(value) for value in image["std"]])
    writer.add_vision_block_count(_num_layers(report_model))
    # Named, because llama.cpp would otherwise leave out the last layer that it is given.
    writer.add_array("clip.vision.feature_layer", [_num_layers(report_model)])


def _num_layers(report_model: ReportModel) -> int:
    """Return how many of the tower's layers stand before what the projector reads."""
    config = report_model.model.config
    layer = int(config.vision_feature_layer)
    return layer if layer >= 0 else int(config.vision_config.num_hidden_layers) + layer + 1


def _tensors(report_model: ReportModel, quantization: Quantization) -> Iterator[Tensor]:
    num_layers = _num_layers(report_model)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, num_layers)
    for name, weight in report_model.model.model.vision_tower.state_dict().items():
        # Layers behind the one that is projected have no name; norm and pooling at the end are not read.
        found = names.get_name(f"vision_tower.vision_model.{name}", try_suffixes=(".weight", ".bias"))
        if found is not None and not name.startswith(("post_layernorm", "head")):
            yield Tensor(found, weight, _kind(found, weight, quantization))
    projector = gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.V_MMPROJ]
    for name, weight in report_model.architecture.projector(report_model.model).state_dict().items():
        layer, _, part = name.partition(".")
        found = f"{projector.format(bid=_LAYERS[layer])}.{part}"
        yield Tensor(found, weight, _kind(found, weight, quantization))


def _kind(name: str, weight: torch.Tensor, quantization: Quantization) -> gguf.GGMLQuantizationType:
    exact = quantization == "F32" or weight.ndim < 2 or name.startswith("v.position_embd")
    return gguf.GGMLQuantizationType.F32 if exact else gguf.GGMLQuantizationType.F16
