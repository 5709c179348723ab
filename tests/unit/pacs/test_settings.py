import pytest

from radlet.core.config import load_config
from radlet.core.errors import ConfigError
from radlet.pacs.listening import CallerRules
from radlet.pacs.settings import PacsConfig


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["host=0.0.0.0"], "calling_ae_titles and addresses"),
        (["host=0.0.0.0", 'addresses=["10.0.0.0/8"]'], "calling_ae_titles and addresses"),
        (['addresses=["10.0.0.300"]'], "no address and no network"),
        (["tls_key=key.pem"], "go together"),
        (["tls_client_ca=ca.pem"], "needs tls_certificate"),
        (['deliveries=[{to="pacs"}]'], "not among the peers"),
        (["ae_title=A TITLE"], "ae_title"),
    ],
)
def test_what_would_be_open_or_lead_nowhere_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(PacsConfig, None, overrides)


def test_only_listed_addresses_may_call() -> None:
    rules = CallerRules(PacsConfig(host="0.0.0.0", addresses=("10.1.0.0/16",), calling_ae_titles=("CT",)))  # noqa: S104
    assert rules.allow("10.1.2.3")
    assert rules.allow("::ffff:10.1.2.3")
    assert not rules.allow("10.2.2.3")
    assert not rules.allow("127.0.0.1")
    assert CallerRules(PacsConfig()).allow("127.0.0.1")
    assert not CallerRules(PacsConfig()).allow("192.168.0.1")
