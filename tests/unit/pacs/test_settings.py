import pytest

from radlet.core.config import load_config
from radlet.core.errors import ConfigError
from radlet.pacs.listening import CallerRules
from radlet.pacs.settings import PacsConfig
from radlet.stages.serve import ServeRecipe

PEER = ['peers.pacs={kind="dicomweb", url="http://127.0.0.1:8042"}']


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
        (['deliveries=[{to="pacs", kinds=[]}]'], "a delivery of nothing"),
        ([*PEER, 'peers.far={kind="dicomweb", url="http://pacs", user="u", password_file="p"}'], "in the clear"),
        (['peers.far={kind="dimse", host="pacs", port=1, ae_title="P", tls_key="k"}'], "go together"),
        (
            ['peers.far={kind="dimse", host="pacs", port=1, ae_title="P", tls_key="k", tls_certificate="c"}'],
            "needs tls_ca",
        ),
        ([*PEER, 'deliveries=[{to="pacs", signed=["text_sr"]}]'], "needs organization"),
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


def test_a_room_delivers_signed_reports_only_of_those_who_logged_in() -> None:
    node = [f"node.{one}" for one in (*PEER, 'deliveries=[{to="pacs", signed=["text_sr"]}]', "organization=Clinic")]
    with pytest.raises(ConfigError, match="needs accounts = true"):
        load_config(ServeRecipe, None, node)
    recipe = load_config(ServeRecipe, None, [*node, "accounts=true"])
    assert recipe.node is not None
    assert recipe.node.machines == ("127.0.0.1",)
    assert load_config(ServeRecipe, None).node is None
