"""A projector that starts in the right units.

Hidden states of an encoder differ in scale from channel to channel, and the embeddings of a language model are small.
A projector with the usual random start then speaks too loudly for the language model to hear the words beside it.
Standardising its input on real films, and scaling its output to the size of a word embedding, is folded into its two
linear layers; the architecture stays as it is (data-dependent initialisation, Krähenbühl et al. 2016).
"""

import torch
from transformers import PreTrainedModel

from radlet.models.report_model import encode_films


@torch.no_grad()
def calibrate_projector(model: PreTrainedModel, pixel_values: torch.Tensor) -> None:
    """Rescale a fresh projector, in place, from a few dozen films (B, 3, S, S)."""
    model.eval()
    projector = model.model.multi_modal_projector
    features = encode_films(model, pixel_values).flatten(0, 1)
    mean, std = features.mean(0), features.std(0).clamp(min=1e-4)
    first, second = projector.linear_1, projector.linear_2
    first.weight.div_(std)
    first.bias.sub_(first.weight @ mean)
    hidden = first(features)
    first.weight.div_(hidden.std())
    first.bias.div_(hidden.std())
    spread = projector(features).std(0).mean()
    size = model.get_input_embeddings().weight.std()
    second.weight.mul_(size / spread)
    second.bias.mul_(size / spread)
