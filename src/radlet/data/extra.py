"""Tell before any work is done that a package of the extra `deidentify` is missing."""

from importlib.util import find_spec

from radlet.core.errors import ConfigError


def require(*packages: str) -> None:
    """Check that packages of the extra are installed.

    Raises:
        ConfigError: One is missing.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f'This needs {package}, which is not installed: pip install "radlet[deidentify]"')
