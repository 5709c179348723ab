"""Certificate and key, looked at before anything else is begun."""

import ssl

from radlet.core.errors import ConfigError
from radlet.serving.settings import ServeConfig

_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_MISMATCH = "KEY_VALUES_MISMATCH"


def check_tls(config: ServeConfig) -> None:
    """Refuse certificates and keys that no browser could be answered with.

    Raises:
        ConfigError: A file cannot be read, holds something else, needs a password, belongs to another key, or the
            certificate is not valid today.
    """
    if config.tls_certificate is None or config.tls_key is None:
        return
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(config.tls_certificate, config.tls_key, _no_password)
    except ssl.SSLError as error:
        if error.reason == _MISMATCH:
            raise ConfigError(
                f"tls_key {config.tls_key} does not belong to tls_certificate {config.tls_certificate}. Give the key "
                "that the certificate was made with."
            ) from None
        raise ConfigError(
            f"tls_certificate {config.tls_certificate} or tls_key {config.tls_key} is no PEM file of a certificate "
            "chain and its private key."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"tls_certificate {config.tls_certificate} or tls_key {config.tls_key} cannot be read ({error.strerror}). "
            "Give files that this user may read."
        ) from None
    code = _verified(server, config)
    if code in (_NOT_YET_VALID, _EXPIRED):
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        raise ConfigError(
            f"tls_certificate {config.tls_certificate} {when}: browsers would refuse it. Give another one, or set the "
            "clock of this machine right."
        )


def _no_password() -> str:
    raise ConfigError("tls_key needs a password, and nobody is there to type it. Give a key without one.")


def _verified(server: ssl.SSLContext, config: ServeConfig) -> int:
    """Shake hands with oneself, the certificate being its own authority; return OpenSSL's code, 0 where it is valid."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(config.tls_certificate)
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
