from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radlet.evaluation.encoder_scores import label_scores, score_encoder
from radlet.metrics.resampling import PatientResampler

NAMES = ("Edema", "Fracture", "Rare")


class Encoder:
    """Gives film n of the path ``/films/n.png`` the embedding and probabilities of row n."""

    def __init__(self, probabilities):
        self.card = SimpleNamespace(label_names=NAMES)
        self.probabilities = probabilities
        self.read = []

    def read_films(self, paths):
        numbers = [int(path.stem) for path in paths]
        self.read += numbers
        return np.eye(len(self.probabilities))[numbers], self.probabilities[numbers]

    def embed_texts(self, texts):
        return np.eye(len(self.probabilities))[: len(texts)]


@pytest.fixture
def studies(example):
    """Twelve studies of six patients; the rare label is in four of them, the fracture unknown in one."""
    labels = [{"Edema": n % 2, "Fracture": int(n < 6), "Rare": int(n < 4)} for n in range(12)]
    del labels[11]["Fracture"]
    return [example(n, f"report {n}", patient=f"p{n // 2}", labels=labels[n]) for n in range(12)]


def test_areas_of_known_labels_with_enough_studies(studies):
    probabilities = np.random.default_rng(0).random((12, 3))
    draws = PatientResampler([study.patient_id for study in studies], 200)
    scores = label_scores(studies, probabilities, NAMES, draws)
    assert set(scores) == {"Edema", "Fracture"}
    assert scores["Edema"].value == pytest.approx(roc_auc_score([0, 1] * 6, probabilities[:, 0]))
    assert scores["Fracture"].value == pytest.approx(roc_auc_score([1] * 6 + [0] * 5, probabilities[:11, 1]))
    assert (scores["Edema"].positives, scores["Fracture"].positives) == (6, 6)
    assert all(0 <= score.low < score.value < score.high <= 1 for score in scores.values())


def test_a_study_counts_once_with_the_mean_of_its_films_and_each_film_is_read_once(studies):
    probabilities = np.random.default_rng(1).random((24, 3))
    rows = [
        study.model_copy(update={"example_id": f"{n}.{film}", "image_paths": (f"/films/{12 * film + n}.png",)})
        for n, study in enumerate(studies)
        for film in (0, 1)
    ]
    encoder = Encoder(probabilities)
    scores = score_encoder(rows, encoder, PatientResampler([row.patient_id for row in rows], 50), seed=0)
    means = (probabilities[:12, 0] + probabilities[12:, 0]) / 2
    assert scores.aurocs["Edema"].value == pytest.approx(roc_auc_score([0, 1] * 6, means))
    assert scores.aurocs["Edema"].positives == 6
    assert sorted(encoder.read) == list(range(24))
    assert scores.beside["num_images"] == 24


def test_an_encoder_without_labels_still_has_its_retrieval(studies):
    encoder = Encoder(np.empty((12, 0)))
    encoder.card.label_names = ()
    scores = score_encoder(studies, encoder, PatientResampler([row.patient_id for row in studies], 50), seed=0)
    assert scores.aurocs == {}
    assert scores.recalls["image_to_text_recall_at_1"].value == 1.0
