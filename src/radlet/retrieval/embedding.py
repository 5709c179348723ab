"""Films and reports into one space: the pair of encoders that `pretrain` leaves behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from radlet.core.console import Progress
from radlet.data.images import ImageSettings, checkpoint_image_settings, read_run_film, resize_film, to_pixel_values
from radlet.models.image_text import ImageTextModel
from radlet.models.report_model import ModelCard, checkpoint_folder, read_card
from radlet.models.sequences import encode_report, pad_right


class Embedder:
    """Embed films and reports with an image-text model.

    Args:
        model: The pair of encoders.
        tokenizer: Of the text side.
        card: The checkpoint's card.
    """

    def __init__(self, model: ImageTextModel, tokenizer: PreTrainedTokenizerBase, card: ModelCard) -> None:
        self.model, self.tokenizer, self.card = model, tokenizer, card
        self.image_settings = ImageSettings.model_validate(card.image)

    @classmethod
    def load(cls, checkpoint: Path) -> Self:
        """Load a checkpoint of the `pretrain` stage, or the run that holds one.

        Raises:
            CheckpointError: The folder holds none, or this version prepares films differently.
        """
        folder = checkpoint_folder(checkpoint)
        card = read_card(folder, "image_text")
        settings = checkpoint_image_settings(card.image, card.image_digest)
        model, tokenizer = ImageTextModel.load(folder, card.label_names, card.feature_layer, settings.size_px)
        return cls(model, tokenizer, card)

    def embed_images(
        self, paths: Sequence[Path], batch_size: int = 64, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return unit rows (n, E), one a film."""
        return self.read_films(paths, batch_size, progress)[0]

    def label_probabilities(
        self, paths: Sequence[Path], batch_size: int = 64, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Return the label head's probabilities (n, L), one a film and label of `card.label_names`."""
        return self.read_films(paths, batch_size, progress)[1]

    @torch.inference_mode()
    def read_films(
        self, paths: Sequence[Path], batch_size: int = 64, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `embed_images` and `label_probabilities` from one pass over the films."""
        embeddings, probabilities = [], []
        batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
        for batch in (progress or Progress(quiet=True)).track(batches, "films", len(batches)):
            films = np.stack([resize_film(read_run_film(Path(path)), self.image_settings) for path in batch])
            pooled = self.model.pooled(torch.from_numpy(to_pixel_values(films, self.image_settings)))
            embeddings.append(self.model.embed_images(pooled).numpy())
            probabilities.append(self.model.label_logits(pooled).mean(0).sigmoid().numpy())
        if not embeddings:
            return (
                np.empty((0, self.model.image_head.out_features), np.float32),
                np.empty((0, len(self.card.label_names)), np.float32),
            )
        return np.concatenate(embeddings), np.concatenate(probabilities)

    @torch.inference_mode()
    def features(self, films: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return what the encoder sees of films, before the head of the shared space; unit rows (n, P).

        The head keeps what reports speak of; these features also hold what no report mentions, such as that the film
        is none of a chest.

        Args:
            films: At least one, each (H, W) in display grey.
        """
        squares = np.stack([resize_film(film, self.image_settings) for film in films])
        pooled = self.model.pooled(torch.from_numpy(to_pixel_values(squares, self.image_settings)))
        return torch.nn.functional.normalize(pooled.float(), dim=-1).numpy()

    def embed_texts(self, texts: Sequence[str], batch_size: int = 64, max_tokens: int = 128) -> NDArray[np.float32]:
        """Return unit rows (n, E), one a report."""
        rows = [encode_report(self.tokenizer, text, max_tokens) for text in texts]
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        parts = []
        with torch.inference_mode():
            for batch in batches:
                input_ids, mask = pad_right(batch, int(self.tokenizer.pad_token_id))
                parts.append(self.model.embed_texts(self.model.hidden_text(input_ids, mask), mask).numpy())
        return np.concatenate(parts) if parts else np.empty((0, self.model.text_head.out_features), np.float32)
