"""Synthetic studies: the same whatever the shards, true to their masks and boxes, adjustable by their settings."""

import numpy as np
import pytest
from pydantic import ValidationError

from radlet.core.records import OBSERVATIONS, State
from radlet.data.sources.synthetic import SyntheticSource
from radlet.data.sources.synthetic.findings import KINDS
from radlet.data.truth import truth_observations

SMALL = 96


def only(kind, **settings):
    """Return a source whose every patient has just this kind of finding."""
    prevalences = {other: float(other == kind) for other in KINDS}
    settings = {"size_px": SMALL, "abnormal_share": 1.0, "max_studies_per_patient": 1, "num_patients": 4} | settings
    return SyntheticSource(prevalences=prevalences, **settings)


@pytest.fixture(scope="module")
def studies():
    return list(SyntheticSource(num_patients=40, size_px=SMALL, lateral_share=0.6).studies(5))


def test_same_seed_gives_the_same_pixels_and_words():
    source = SyntheticSource(num_patients=4, size_px=SMALL)
    for first, second in zip(source.studies(3), source.studies(3), strict=True):
        assert first.study == second.study
        assert all(np.array_equal(first.pixels[name], second.pixels[name]) for name in first.pixels)


def test_another_seed_gives_other_studies():
    source = SyntheticSource(num_patients=4, size_px=SMALL)
    first, second = next(iter(source.studies(0))), next(iter(source.studies(1)))
    assert not np.array_equal(next(iter(first.pixels.values())), next(iter(second.pixels.values())))


def test_shards_are_the_whole_divided():
    source = SyntheticSource(num_patients=9, size_px=SMALL)
    whole = {raw.study.study_id: raw for raw in source.studies(0)}
    parts = [raw for index in range(3) for raw in source.studies(0, index, 3)]
    assert sorted(raw.study.study_id for raw in parts) == sorted(whole)
    for raw in parts:
        same = whole[raw.study.study_id]
        assert raw.study == same.study
        assert all(np.array_equal(raw.pixels[name], same.pixels[name]) for name in raw.pixels)


def test_more_patients_leave_the_first_ones_unchanged():
    few = SyntheticSource(num_patients=2, size_px=SMALL)
    many = SyntheticSource(num_patients=5, size_px=SMALL)
    for raw, same in zip(few.studies(0), many.studies(0), strict=False):
        assert raw.study == same.study


def test_films_are_square_grey_and_use_the_scale(studies):
    for raw in studies:
        assert set(raw.pixels) == {image.image_id for image in raw.study.images}
        for film in raw.pixels.values():
            assert film.shape == (SMALL, SMALL)
            assert film.dtype == np.uint8
            assert film.std() > 25


def test_boxes_enclose_masks_exactly(studies):
    checked = 0
    for raw in studies:
        for index, finding in enumerate(raw.study.truth):
            assert finding.boxes, f"{finding.kind} shows on no film"
            for image_id, box in finding.boxes.items():
                rows, columns = np.nonzero(raw.masks[index, image_id])
                assert box.x_min * SMALL == pytest.approx(columns.min())
                assert box.x_max * SMALL == pytest.approx(columns.max() + 1)
                assert box.y_min * SMALL == pytest.approx(rows.min())
                assert box.y_max * SMALL == pytest.approx(rows.max() + 1)
                checked += 1
    assert checked > 40


def test_patients_left_is_the_images_right(studies):
    checked = 0
    for raw in studies:
        frontal = raw.study.images[0].image_id
        for index, finding in enumerate(raw.study.truth):
            if finding.side in ("left", "right") and finding.observation != "Support Devices":
                columns = np.nonzero(raw.masks[index, frontal])[1]
                assert (np.median(columns) > SMALL / 2) == (finding.side == "left"), finding.kind
                checked += 1
    assert checked > 15


def test_zones_stand_in_order_from_the_top():
    rows = {"upper": [], "mid": [], "lower": []}
    for raw in only("nodule", num_patients=40, lateral_share=0).studies(0):
        (mask,) = raw.masks.values()
        rows[raw.study.truth[0].zone].append(np.nonzero(mask)[0].mean())
    assert max(rows["upper"]) < min(rows["mid"]) < max(rows["mid"]) < min(rows["lower"])


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_drawn_alone_and_changes_the_film_where_its_mask_is(kind):
    source = only(kind, lateral_share=0, noise=0)
    for raw in source.studies(2):
        (finding,) = raw.study.truth
        assert (finding.kind, finding.observation) == (kind, KINDS[kind].observation)
        (mask,) = raw.masks.values()
        assert 0.0005 < (mask > 0).mean() < 0.75


def test_severity_grows_the_effusion():
    area = {"mild": [], "moderate": [], "severe": []}
    for raw in only("effusion", num_patients=40, lateral_share=0).studies(0):
        if raw.study.truth[0].side != "bilateral":
            area[raw.study.truth[0].severity].append((next(iter(raw.masks.values())) > 0).mean())
    assert np.mean(area["mild"]) < np.mean(area["moderate"]) < np.mean(area["severe"])


def test_consolidation_is_bright_and_pneumothorax_without_vessels_is_not():
    (raw,) = only("consolidation", num_patients=1, noise=0, lateral_share=0).studies(4)
    (mask,) = raw.masks.values()
    (film,) = raw.pixels.values()
    # The other lung, mirrored, is the clear reference.
    assert film[mask > 0].mean() > film[:, ::-1][mask > 0].mean() + 15


def test_follow_ups_point_to_the_study_before():
    by_patient = {}
    for raw in SyntheticSource(num_patients=12, size_px=64, max_studies_per_patient=4).studies(0):
        assert raw.study.prior_study_id == by_patient.get(raw.study.patient_id)
        assert raw.study.split is None
        by_patient[raw.study.patient_id] = raw.study.study_id
    assert len(by_patient) == 12


def test_abnormal_share_bounds_what_is_found():
    healthy = SyntheticSource(num_patients=10, size_px=64, abnormal_share=0).studies(0)
    assert all(raw.study.truth == () for raw in healthy)
    ill = SyntheticSource(num_patients=10, size_px=64, abnormal_share=1, max_studies_per_patient=1).studies(0)
    assert all(raw.study.truth for raw in ill)


def test_views_follow_the_shares():
    views = [
        tuple(image.view for image in raw.study.images)
        for raw in SyntheticSource(
            num_patients=10, size_px=64, ap_share=0, lateral_share=1, prevalences={"endotracheal_tube": 0}
        ).studies(0)
    ]
    assert set(views) == {("PA", "LATERAL")}
    views = [raw.study.images[0].view for raw in SyntheticSource(num_patients=5, size_px=64, ap_share=1).studies(0)]
    assert set(views) == {"AP"}


def counts(**settings):
    found = dict.fromkeys(KINDS, 0)
    source = SyntheticSource(num_patients=800, max_studies_per_patient=1, abnormal_share=1, **settings)
    for patient, _ in source._plans(0):
        for lesion in patient.exams[0].lesions:
            found[lesion.kind] += 1
    return found


def test_long_tail_makes_some_kinds_rare():
    flat, tailed = sorted(counts().values()), sorted(counts(long_tail=True).values())
    assert tailed[-1] / (1 + tailed[0]) > 3 * flat[-1] / (1 + flat[0])


def test_site_shift_adds_a_second_site_with_other_frequencies():
    source = SyntheticSource(num_patients=1000, max_studies_per_patient=1, site_shift=True, styles=("film",))
    patients = [patient for patient, _ in source._plans(0)]
    effusions = {
        site: np.mean([any(x.kind == "effusion" for x in p.exams[0].lesions) for p in patients if p.site == site])
        for site in ("A", "B")
    }
    assert effusions["A"] > 1.5 * effusions["B"]
    assert {p.exams[0].style for p in patients if p.site == "A"} == {"film"}
    assert {p.exams[0].style for p in patients if p.site == "B"} == {"digital"}


def test_unknown_kind_is_refused_with_the_nearest_name():
    with pytest.raises(ValidationError, match="effusion"):
        SyntheticSource(prevalences={"efusion": 1.0})


def test_truth_observations_names_all_and_derives_no_finding(studies):
    for raw in studies:
        states = truth_observations(raw.study.truth)
        assert tuple(states) == OBSERVATIONS
        present = {finding.observation for finding in raw.study.truth}
        assert {name for name, state in states.items() if state is State.POSITIVE} - {"No Finding"} == present
    assert truth_observations(())["No Finding"] is State.POSITIVE
