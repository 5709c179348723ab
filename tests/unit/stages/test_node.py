from pathlib import Path

import pytest
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import ConfigError, RunError
from radlet.stages.node import only_node


def test_one_node_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with only_node(folder), pytest.raises(RunError, match="another node is at work"), only_node(folder):
        pass
    with only_node(folder):
        pass


def test_a_node_takes_encoder_and_examples_together(tmp_path: Path) -> None:
    command = ["node", str(tmp_path / "none"), "--encoder", str(tmp_path), f"data_dir={tmp_path / 'room'}"]
    told = CliRunner().invoke(app, command)
    assert isinstance(told.exception, ConfigError)
    assert "--encoder and --examples go together" in str(told.exception)
