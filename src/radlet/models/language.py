"""Language models: from a recipe's table to a causal language model of transformers and its tokenizer."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from radlet.core.config import Config
from radlet.core.errors import CheckpointError, ConfigError
from radlet.models.loading import LOADING_ERRORS, first_line, load_strictly
from radlet.models.tokenizers import add_image_token, lend_unknown_to_image, train_tokenizer


class LanguageModelConfig(Config):
    """A small model made from scratch on the site's reports, or any pre-trained causal model in a local folder."""

    path: Path | None = None
    """Folder of a pre-trained model with its tokenizer; of the fields below `keep_vocabulary` alone is then used."""
    keep_vocabulary: bool = False
    """Add no token for films: the unknown token of a Llama tokenizer, which byte fallback leaves without use, stands
    for them, and the vocabulary stays as published (LLaVA)."""
    model_type: str = "llama"
    """The architecture's name in transformers."""
    options: dict[str, Any] = {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 1024,
    }
    """Fields of that architecture's configuration."""
    vocab_size: int = 2048
    """Entries of the tokenizer learnt on the reports."""

    def build(self, texts: Callable[[], Iterable[str]]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Load the model and its tokenizer, or make both; `texts` gives the corpus if a tokenizer must be learnt.

        Raises:
            CheckpointError: The folder holds no loadable model.
            ConfigError: transformers does not know the architecture.
        """
        if self.path is not None:
            return load_language_model(self.path, self.keep_vocabulary)
        tokenizer = train_tokenizer(texts(), self.vocab_size)
        try:
            config = AutoConfig.for_model(
                self.model_type,
                **self.options,
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        except ValueError as error:
            message = str(error).splitlines()[0][:200]
            raise ConfigError(f"language_model.model_type='{self.model_type}': {message}") from None
        return AutoModelForCausalLM.from_config(config), tokenizer


def load_language_model(path: Path, keep_vocabulary: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer from a local folder, with room for the image token.

    Args:
        path: The folder.
        keep_vocabulary: The image token takes the place of the tokenizer's unknown token.

    Raises:
        CheckpointError: The folder holds no loadable model.
    """
    model, tokenizer = load_plain_model(path)
    if keep_vocabulary:
        tokenizer = lend_unknown_to_image(path)
    add_image_token(tokenizer)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return model, tokenizer


def load_plain_model(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer from a local folder, as they are.

    Raises:
        CheckpointError: The folder holds no loadable model.
    """
    model = load_strictly(AutoModelForCausalLM, path, "language model").model
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{path}: no tokenizer could be loaded: {first_line(error)}") from None
    return model, tokenizer
