"""What the node cannot speak TLS with is told at the start, and nobody is asked for a password."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.certificates import Authority, Certificate, make_certificate

from radlet.core.errors import ConfigError
from radlet.pacs.settings import NodeSettings
from radlet.stages.node import check_node


def of_node(files: Certificate) -> dict[str, object]:
    return {"tls_certificate": files.certificate, "tls_key": files.key}


def of_peer(files: Certificate) -> dict[str, object]:
    own = {"tls_ca": files.certificate, **of_node(files)}
    return {"peers": {"pacs": {"kind": "dimse", "host": "127.0.0.1", "port": 104, "ae_title": "PACS", **own}}}


@pytest.mark.parametrize("whose", [of_node, of_peer])
@pytest.mark.parametrize(
    ("days", "password", "words"),
    [((-1, 30), b"secret", "needs a password"), ((-30, -1), b"", "has expired"), ((1, 30), b"", "not valid yet")],
)
def test_a_pair_that_cannot_be_used_is_refused(
    tmp_path: Path, whose: object, days: tuple[int, int], password: bytes, words: str
) -> None:
    files = make_certificate(tmp_path, "own", days, password)
    with pytest.raises(ConfigError, match=words):
        check_node(NodeSettings.model_validate(whose(files)))  # type: ignore[operator]


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    files, nothing = make_certificate(tmp_path, "own"), tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    web = {"kind": "dicomweb", "url": "https://127.0.0.1", "tls_ca": nothing}
    dimse = {"kind": "dimse", "host": "127.0.0.1", "port": 104, "ae_title": "PACS", "tls_ca": nothing}
    for settings in ({"peers": {"a": web}}, {"peers": {"a": dimse}}, {**of_node(files), "tls_client_ca": nothing}):
        with pytest.raises(ConfigError, match="no PEM file of an authority"):
            check_node(NodeSettings.model_validate(settings))


def test_pairs_of_an_authority_are_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    files = authority.identity("node")
    peer = {
        "kind": "dimse",
        "host": "127.0.0.1",
        "port": 104,
        "ae_title": "PACS",
        "tls_ca": authority.file,
        **of_node(files),
    }
    settings = {**of_node(files), "tls_client_ca": authority.file, "peers": {"pacs": peer}}
    check_node(NodeSettings.model_validate(settings))


def test_nobody_is_asked_for_the_password_of_a_peers_key(tmp_path: Path) -> None:
    """OpenSSL asks on the terminal, behind the back of standard input; a process without one hears nothing."""
    files = make_certificate(tmp_path, "own", password=b"secret")
    recipe = tmp_path / "node.toml"
    recipe.write_text(
        f"""
        [peers.pacs]
        kind = "dimse"
        host = "127.0.0.1"
        port = 104
        ae_title = "PACS"
        tls_ca = "{files.certificate}"
        tls_certificate = "{files.certificate}"
        tls_key = "{files.key}"
        """
    )
    told = subprocess.run(
        [sys.executable, "-m", "radlet.cli", "node", str(tmp_path / "none"), "--recipe", str(recipe)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 2
    assert "needs a password" in told.stderr
    assert "PEM pass phrase" not in told.stderr + told.stdout
