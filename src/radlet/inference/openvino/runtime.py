"""The one place that imports OpenVINO, without its telemetry."""

import importlib
import sys
from types import ModuleType

from radlet.core.errors import ConfigError, PrivacyError

_TELEMETRY = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """Import OpenVINO, which then sends nothing.

    OpenVINO tells a web service of every import and conversion, unless a file in the user's home folder objects. Its
    telemetry stands in a package of its own, without which OpenVINO works: so that package is kept from being found.

    Raises:
        ConfigError: OpenVINO is not installed.
        PrivacyError: Something else has already imported OpenVINO's telemetry in this process.
    """
    if sys.modules.get(_TELEMETRY) is not None:
        raise PrivacyError(
            "OpenVINO was imported together with its telemetry before radlet could keep that out. Run "
            "opt_in_out --opt_out and start again without importing openvino yourself."
        )
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say: do not import
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError:
        raise ConfigError("OpenVINO is not installed. Run: pip install 'radlet[openvino]'") from None
