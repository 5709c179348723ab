from pathlib import Path

import pytest

from radlet.core.errors import CheckpointError
from radlet.models.language import LanguageModelConfig, load_language_model


@pytest.mark.parametrize("path", ["gpt2", "organisation/model"])
def test_a_path_that_is_no_folder_is_not_taken_for_a_model_on_a_hub(path: str) -> None:
    with pytest.raises(CheckpointError, match=rf"{path}: is no folder\. Give the local folder of a language model"):
        LanguageModelConfig(path=Path(path)).build(list)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no language model could be loaded"):
        load_language_model(tmp_path)
