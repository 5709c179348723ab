"""Certificates and keys, looked at before anything else is begun, and the TLS that is spoken with them."""

import ssl
from pathlib import Path

from radlet.core.errors import ConfigError

_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_MISMATCH = "KEY_VALUES_MISMATCH"


def refuse_half_a_pair(tls_certificate: Path | None, tls_key: Path | None) -> None:
    """Refuse a certificate without its key, or the other way round.

    Raises:
        ValueError: One is given alone.
    """
    if (tls_certificate is None) != (tls_key is None):
        raise ValueError("tls_certificate and tls_key go together; give both or neither")


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Refuse a certificate and key that nobody could be answered with.

    Raises:
        ConfigError: A file cannot be read, holds something else, needs a password, belongs to another key, or the
            certificate is not valid today.
    """
    if certificate is None or key is None:
        return
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(server, certificate, key)
    code = _verified(server, certificate)
    if code in (_NOT_YET_VALID, _EXPIRED):
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        raise ConfigError(
            f"tls_certificate {certificate} {when}: it would be refused. Give another one, or set the "
            "clock of this machine right."
        )


def check_authority(name: str, authority: Path) -> None:
    """Refuse a file that does not hold the certificates of an authority.

    Args:
        name: Of its setting.
        authority: The file.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), name, authority)


def server_tls(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return how callers are answered.

    Args:
        certificate: Chain that they are shown.
        key: Its private key.
        client_ca: Authority of the certificates that they must show; None: they need none.

    Raises:
        ConfigError: As of `check_tls` and `check_authority`.
    """
    check_tls(certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, certificate, key)
    if client_ca:
        _trust(context, "tls_client_ca", client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(authority: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return how another system is called.

    Args:
        authority: Of its certificate; no other is trusted.
        certificate: Chain that it is shown where it asks for one.
        key: Its private key.

    Raises:
        ConfigError: As of `check_tls` and `check_authority`.
    """
    check_authority("tls_ca", authority)
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority)
    if certificate and key:
        check_tls(certificate, key)
        _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        if error.reason == _MISMATCH:
            raise ConfigError(
                f"tls_key {key} does not belong to tls_certificate {certificate}. Give the key "
                "that the certificate was made with."
            ) from None
        raise ConfigError(
            f"tls_certificate {certificate} or tls_key {key} is no PEM file of a certificate chain and its private key."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"tls_certificate {certificate} or tls_key {key} cannot be read ({error.strerror}). "
            "Give files that this user may read."
        ) from None


def _trust(context: ssl.SSLContext, name: str, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError:
        raise ConfigError(f"{name} {authority} is no PEM file of an authority's certificate.") from None
    except OSError as error:
        raise ConfigError(
            f"{name} {authority} cannot be read ({error.strerror}). Give a file that this user may read."
        ) from None


def _no_password() -> str:
    raise ConfigError("tls_key needs a password, and nobody is there to type it. Give a key without one.")


def _verified(server: ssl.SSLContext, certificate: Path) -> int:
    """Shake hands with oneself, the certificate being its own authority; return OpenSSL's code, 0 where it is valid."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return int(error.verify_code)
            except ssl.SSLError:  # the other end has said why
                continue
    return 0
