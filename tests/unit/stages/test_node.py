from pathlib import Path

import pytest

from radlet.core.errors import RunError
from radlet.stages.node import only_node


def test_one_node_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with only_node(folder), pytest.raises(RunError, match="another node is at work"), only_node(folder):
        pass
    with only_node(folder):
        pass
