"""The model of the `pretrain` stage: an image encoder and a language model that share one embedding space.

Films and reports are embedded side by side (CLIP, Radford et al. 2021); the text side is the causal language model
that later drafts the reports, read out at the end of the text, so that it also learns the language of the site
(the joint objective of CoCa, Yu et al. 2022, without cross-attention). A head on the film's tokens predicts labels.
"""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from radlet.core.errors import CheckpointError
from radlet.models.encoders import token_layout, tower_tokens
from radlet.models.language import load_language_model
from radlet.models.loading import load_strictly

_COARSE_GRID = 4


class ImageTextModel(nn.Module):
    """Image encoder, language model, and the heads between them.

    Args:
        encoder: Vision tower of transformers.
        language_model: Causal language model of transformers.
        label_names: What the label head predicts, one logit each; may be empty.
        embed_dim: Width of the shared embedding space.
        feature_layer: Hidden state of the encoder that is pooled, and later projected.
        size_px: Side of the films.
    """

    encoder: PreTrainedModel
    language_model: PreTrainedModel

    def __init__(
        self,
        encoder: PreTrainedModel,
        language_model: PreTrainedModel,
        label_names: tuple[str, ...],
        embed_dim: int,
        feature_layer: int,
        size_px: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.language_model = language_model
        self.label_names = label_names
        self.feature_layer = feature_layer
        self.num_extra_tokens, self.grid = token_layout(encoder, size_px, feature_layer)
        width = encoder.config.hidden_size
        self.coarse_grid = min(_COARSE_GRID, self.grid)
        patch_width = (1 + self.coarse_grid**2) * width
        self.image_norm = nn.LayerNorm(patch_width + self.num_extra_tokens * width)
        self.image_head = nn.Linear(patch_width + self.num_extra_tokens * width, embed_dim, bias=False)
        self.label_head = nn.Linear(patch_width, len(label_names))
        # The class token must carry the labels by itself, or nothing makes it more than a bystander.
        self.class_label_head = nn.Linear(width, len(label_names)) if self.num_extra_tokens else None
        self.text_head = nn.Linear(language_model.config.get_text_config().hidden_size, embed_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def pooled(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return a film's features: maximum over the patches, coarse map of them, class token if there is one.

        The maximum sees a small nodule wherever it is; the map, 4 x 4 means, knows left from right and base from apex,
        which films of one anatomy make worth knowing. Shape (B, (1 + 16) D), and D more with a class token.
        """
        tokens = tower_tokens(self.encoder, pixel_values, self.feature_layer)
        extra, patches = tokens[:, : self.num_extra_tokens], tokens[:, self.num_extra_tokens :]
        grid = patches.transpose(1, 2).reshape(len(patches), -1, self.grid, self.grid)  # (B, D, H, W)
        coarse = F.adaptive_avg_pool2d(grid, self.coarse_grid).flatten(1)
        normed: torch.Tensor = self.image_norm(torch.cat([patches.amax(1), coarse, extra.flatten(1)], dim=-1))
        return normed

    def embed_images(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return unit embeddings (B, E) of pooled features."""
        return F.normalize(self.image_head(pooled).float(), dim=-1)

    def label_logits(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return the logits of each head, (heads, B, L): from the patches, and from the class token alone."""
        split = self.label_head.in_features
        logits = [self.label_head(pooled[:, :split])]
        if self.class_label_head is not None:
            logits.append(self.class_label_head(pooled[:, split:]))
        return torch.stack(logits).float()

    def hidden_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the language model's last hidden states (B, T, D) of right-padded text."""
        hidden: torch.Tensor = self.language_model.get_decoder()(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        return hidden

    def embed_texts(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return unit embeddings (B, E), read at the last token that is not padding."""
        last = attention_mask.sum(1) - 1
        return F.normalize(self.text_head(hidden[torch.arange(len(hidden)), last]).float(), dim=-1)

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write encoder, language model, tokenizer and heads under `folder`, safetensors throughout."""
        self.encoder.save_pretrained(folder / "encoder")
        self.language_model.save_pretrained(folder / "language_model")
        tokenizer.save_pretrained(folder / "language_model")
        heads = {name: tensor.contiguous() for name, tensor in self.state_dict().items() if _is_head(name)}
        save_file(heads, folder / "heads.safetensors")

    @classmethod
    def load(
        cls, folder: Path, label_names: tuple[str, ...], feature_layer: int, size_px: int
    ) -> tuple[Self, PreTrainedTokenizerBase]:
        """Read what `save` wrote.

        Raises:
            CheckpointError: A part is missing or does not fit.
        """
        try:
            heads = load_file(folder / "heads.safetensors")
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: no image-text model could be loaded: {error}") from None
        encoder = load_strictly(AutoModel, folder / "encoder", "vision tower").model
        language_model, tokenizer = load_language_model(folder / "language_model")
        if "image_head.weight" not in heads:
            raise CheckpointError(f"{folder}: heads.safetensors has no image_head.weight.")
        embed_dim = heads["image_head.weight"].shape[0]
        model = cls(encoder, language_model, label_names, embed_dim, feature_layer, size_px)
        expected = {name for name in model.state_dict() if _is_head(name)}
        if expected != set(heads):
            raise CheckpointError(f"{folder}: heads.safetensors holds {sorted(heads)}; needed are {sorted(expected)}.")
        try:
            model.load_state_dict(heads, strict=False)
        except RuntimeError as error:
            raise CheckpointError(f"{folder}: the heads do not fit the model: {error}") from None
        return model.eval(), tokenizer


def _is_head(name: str) -> bool:
    return not name.startswith(("encoder.", "language_model."))
