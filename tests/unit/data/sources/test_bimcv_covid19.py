import numpy as np
import pytest
from PIL import Image
from tests.fixtures.bimcv_covid19_tree import write_bimcv_covid19
from tests.fixtures.published_runs import ingest_and_build

from radlet.core.config import load_config
from radlet.core.errors import DataError
from radlet.data.sources.base import Rejected
from radlet.data.sources.bimcv_covid19 import BimcvCovid19Source


def read(root, **values):
    source = load_config(BimcvCovid19Source, None, root=root, **values)
    items = [item for shard in range(2) for item in source.studies(seed=0, shard=shard, num_shards=2)]
    return (
        {item.study.study_id: item for item in items if not isinstance(item, Rejected)},
        {item.item_id: item.reason for item in items if isinstance(item, Rejected)},
    )


def decode(studies):
    """Decode every film as `ingest` does: the films, and why there is none."""
    films, refused = {}, {}
    for raw in studies.values():
        for image_id, decoder in raw.decoders.items():
            try:
                films[image_id] = decoder()
            except DataError as error:
                refused[image_id] = str(error)
    return films, refused


def test_sessions_are_studies_with_the_views_of_their_names_or_headers(tmp_path):
    studies, _ = read(write_bimcv_covid19(tmp_path))
    assert {study_id: [image.view for image in raw.study.images] for study_id, raw in studies.items()} == {
        "ses-E1": ["PA", "LATERAL"], "ses-E2": ["AP"], "ses-E3": ["AP", "AP", "AP"],
    }  # fmt: skip
    first, third = studies["ses-E1"].study, studies["ses-E3"].study
    assert (first.patient_id, first.sex, first.age_years) == ("sub-S1", "F", 61)
    assert (third.sex, third.age_years) == (None, None)
    assert first.sections == {"findings": "neumonia bilateral ."}
    assert first.labels == {"covid 19": 1, "normal": 0, "pneumonia": 1}


def test_stored_values_are_windowed_and_turned_bright_for_dense(tmp_path):
    studies, _ = read(write_bimcv_covid19(tmp_path))
    films, _ = decode(studies)
    plain, inverted = (
        films[f"sub-S1_ses-E1_{name}"] for name in ("run-1_bp-chest_vp-pa_dx", "run-2_bp-chest_vp-ll_dx")
    )
    assert (plain[0, 0], plain[-1, -1]) == (0, 255)
    assert (inverted[0, 0], inverted[-1, -1]) == (255, 0)
    with Image.open(next(tmp_path.rglob("sub-S2_ses-E3_run-4_bp-chest_vp-ap_dx.png"))) as image:
        # A film of 8 bits is read as it is.
        assert np.array_equal(films["sub-S2_ses-E3_run-4_bp-chest_vp-ap_dx"], np.asarray(image))


def test_a_report_of_another_patient_is_not_taken_and_reports_can_be_left_out(tmp_path):
    root = write_bimcv_covid19(tmp_path)
    studies, _ = read(root)
    assert (studies["ses-E2"].study.sections, studies["ses-E2"].study.labels) == ({}, {})
    assert all(not raw.study.sections for raw in read(root, keep_reports=False)[0].values())


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    studies, rejected = read(write_bimcv_covid19(tmp_path))
    rejected |= decode(studies)[1]
    damaged = rejected.pop("sub-S2_ses-E3_run-2_bp-chest_vp-ap_dx")
    assert damaged.startswith("the film is truncated or damaged")
    assert rejected.pop("sub-S2_ses-E3_run-3_bp-chest_vp-ap_dx").startswith("the JSON beside the film cannot be read")
    assert rejected == {
        "sub-S1_ses-E1_run-3_bp-abdomen_vp-ap_dx": "not a film of the chest",
        "sub-S1_ses-E1_run-4_bp-chest_vp-oblique_dx": "its view is neither PA, AP nor lateral",
        "ses-E2:report": "the report is another patient's; its study is kept without it",
        "sub-S2_ses-E3_run-1_bp-chest_vp-ap_dx": (
            "nothing beside the film tells whether its high values are bright or dark"
        ),
        "sub-S2_ses-E4_run-1_bp-chest_ct.nii.gz": "a volume, not a film",
    }


def test_missing_folders_and_tables_are_errors(tmp_path):
    with pytest.raises(DataError, match="folder of the unpacked archives"):
        read(tmp_path)
    write_bimcv_covid19(tmp_path)
    (tmp_path / "derivatives" / "labels" / "labels_covid19_posi.tsv").unlink()
    with pytest.raises(DataError, match="holds no table of reports and labels"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_bimcv_covid19(tmp_path / "bimcv")
    recipe = f'max_rejected_share = 0.8\n[source]\nkind = "bimcv_covid19"\nroot = "{root}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "source"\n')
    assert ({study.study_id for study in studies}, len(rejected)) == ({"ses-E1", "ses-E2", "ses-E3"}, 7)
    by_id = {example.study_id: example for example in examples}
    assert by_id["ses-E1"].target == "neumonia bilateral."
    assert by_id["ses-E1"].views == ("PA", "LATERAL")
    assert by_id["ses-E1"].labels["pneumonia"] == 1
    assert by_id["ses-E1"].split == by_id["ses-E2"].split
