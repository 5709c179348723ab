"""Judge the pre-trained pair of encoders by retrieval: the report of a film, and the film of a report."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radlet.metrics.base import ratio
from radlet.metrics.resampling import Estimate, PatientResampler
from radlet.metrics.retrieval import (
    RECALL_AT,
    chance_image_to_text,
    chance_text_to_image,
    rank,
    recall_statistics,
)


def score_retrieval(
    images: NDArray[np.floating], texts: NDArray[np.floating], reports: Sequence[str], resampler: PatientResampler
) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Return recalls at 1, 5 and 10 both ways, and beside them chance, median ranks and the sizes of the pools.

    Intervals resample the queries; the pool that is searched stays the whole split.

    Args:
        images: Embedding of each study's first film, (n, d), unit rows.
        texts: Embedding of each study's report, (n, d), unit rows.
        reports: The reports; equal ones count as one answer.
        resampler: Draws of the same studies.
    """
    ranks = rank(images, texts, reports)
    estimates: dict[str, Estimate] = {}
    beside = {
        "num_images": float(len(reports)),
        "num_texts": float(ranks.num_texts),
        "image_to_text_median_rank": float(np.median(ranks.image_to_text)),
        "text_to_image_median_rank": float(np.median(ranks.text_to_image)),
    }
    ways = (
        ("image_to_text", ranks.image_to_text, chance_image_to_text),
        ("text_to_image", ranks.text_to_image, chance_text_to_image),
    )
    for way, way_ranks, chance in ways:
        for k in RECALL_AT:
            name = f"{way}_recall_at_{k}"
            estimates[name] = resampler.estimate(recall_statistics(way_ranks, k), _recall)
            beside[f"chance_{name}"] = chance(ranks, k)
            beside[f"times_chance_{name}"] = float((way_ranks <= k).mean()) / beside[f"chance_{name}"]
    return estimates, beside


def _recall(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio(totals[..., 0], totals[..., 1])
