import numpy as np
import pytest

from radlet.metrics.retrieval import chance_image_to_text, chance_text_to_image, rank, recall_statistics


def test_perfect_pairs_rank_first():
    eye = np.eye(5, dtype=np.float32)
    ranks = rank(eye, eye, [f"report {i}" for i in range(5)])
    assert ranks.image_to_text.tolist() == [1] * 5
    assert ranks.text_to_image.tolist() == [1] * 5


def test_ranks_by_hand():
    images = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    texts = np.array([[0.0, 1.0], [1.0, 0.0], [0.8, 0.6]])
    ranks = rank(images, texts, ["a", "b", "c"])
    # film 0 scores a 0.0, b 1.0, c 0.8; film 1 scores 1.0, 0.0, 0.6; film 2 scores 0.8, 0.6, 0.96
    assert ranks.image_to_text.tolist() == [3, 3, 1]
    # text a scores films 0.0, 1.0, 0.8; text b 1.0, 0.0, 0.6; text c 0.8, 0.6, 0.96
    assert ranks.text_to_image.tolist() == [3, 3, 1]
    assert recall_statistics(ranks.image_to_text, 1)[:, 0].tolist() == [0, 0, 1]


def test_a_duplicate_text_is_the_same_answer():
    images = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    texts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    ranks = rank(images, texts, ["No acute disease.", "no  acute disease.", "Effusion."])
    assert ranks.num_texts == 2
    assert ranks.image_to_text.tolist() == [1, 1, 1]
    assert ranks.text_to_image.tolist() == [1, 1, 1]
    assert ranks.num_right_images.tolist() == [2, 2, 1]


def test_ties_earn_no_credit():
    same = np.ones((4, 3))
    ranks = rank(same, same, list("abcd"))
    assert ranks.image_to_text.tolist() == [4] * 4
    assert ranks.text_to_image.tolist() == [4] * 4


@pytest.mark.parametrize("k", [1, 5, 10])
def test_chance_is_what_random_embeddings_reach(k):
    draws = np.random.default_rng(0)
    texts = [str(min(i, 30)) for i in range(40)]  # ten studies share one text
    to_text, to_image = [], []
    for _ in range(300):
        ranks = rank(draws.normal(size=(40, 8)), draws.normal(size=(40, 8)), texts)
        to_text.append(np.mean(ranks.image_to_text <= k))
        to_image.append(np.mean(ranks.text_to_image <= k))
    assert np.mean(to_text) == pytest.approx(chance_image_to_text(ranks, k), abs=0.02)
    assert np.mean(to_image) == pytest.approx(chance_text_to_image(ranks, k), abs=0.03)


def test_chance_by_hand():
    ranks = rank(np.eye(4), np.eye(4), ["a", "a", "b", "c"])
    assert chance_image_to_text(ranks, 1) == pytest.approx(1 / 3)
    assert chance_text_to_image(ranks, 1) == pytest.approx((2 / 4 + 2 / 4 + 1 / 4 + 1 / 4) / 4)
    assert chance_image_to_text(ranks, 10) == 1.0
    assert chance_text_to_image(ranks, 10) == pytest.approx(1.0)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 texts, 3 images"):
        rank(np.eye(3), np.eye(3), ["a", "b"])
