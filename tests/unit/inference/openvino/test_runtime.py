import importlib.util
import subprocess
import sys

import pytest

from radlet.core.errors import ConfigError, PrivacyError
from radlet.inference.openvino.runtime import import_openvino


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra openvino")
def test_importing_reaches_no_network_and_loads_no_telemetry() -> None:
    script = """
import os, socket, sys
os.environ.pop("CI", None)  # where OpenVINO would be silent of itself
def refuse(*_, **__):
    print("REACHED")
    raise OSError
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from radlet.inference.openvino.runtime import import_openvino
openvino = import_openvino()
print(openvino.tools.ovc.telemetry_utils.tm.__name__)  # what conversions report to
print(sorted(name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["openvino.tools.ovc.telemetry_stub", "[]"]


def test_telemetry_that_is_there_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)
    with pytest.raises(PrivacyError, match="opt_out"):
        import_openvino()


def test_without_openvino_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"radlet\[openvino\]"):
        import_openvino()
