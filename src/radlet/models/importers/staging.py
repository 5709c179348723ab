"""A folder that is written whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radlet.core.errors import ConfigError


@contextmanager
def staged(out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a folder that becomes `out` at the end, and another for what is needed on the way.

    Raises:
        ConfigError: `out` is there already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already. Give a folder that is not, or is empty.")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        folder = temporary / "whole"
        folder.mkdir()
        yield folder, temporary
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
