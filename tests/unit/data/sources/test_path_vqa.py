import pytest
from tests.fixtures.path_vqa_tree import write_path_vqa, write_path_vqa_lists
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="path_vqa", root=root, **values)


@pytest.mark.parametrize("arrow", [False, True], ids=["parquet", "arrow"])
def test_an_image_that_stands_in_many_rows_is_one_study(tmp_path, arrow):
    studies, rejected = read(write_path_vqa(tmp_path, arrow))
    assert sorted(len(study.questions) for study in studies.values()) == [0, 1, 2]
    [two] = [study for study in studies.values() if len(study.questions) == 2]
    assert [(one.question, one.answer, one.kind) for one in two.questions] == [
        ("Is this a section of the liver?", "yes", "closed"),
        ("What is present?", "Liver", "open"),
    ]
    assert sorted(study.split for study in studies.values()) == ["test", "train", "train"]
    reasons = sorted(reason.split(":")[0].split(";")[0] for reason in rejected.values())
    assert reasons == [
        "The image file is truncated or damaged",
        "its questions are in several splits",
        "the row has a question without an answer, or the reverse",
        "the same question and answer stand in an earlier row",
    ]


def test_lists_name_images_of_a_folder(tmp_path):
    studies, rejected = read(write_path_vqa_lists(tmp_path))
    assert set(studies) == {"train_0001", "train_0002"}
    assert rejected == {"train_0003": "the file is missing"}


def test_pickles_are_named_and_not_read(tmp_path):
    (tmp_path / "train_vqa.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match="pickles are not read: they can run code"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_path_vqa(tmp_path / "path")
    recipe = f'max_rejected_share = 0.7\n[source]\nkind = "path_vqa"\nroot = "{root}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'section = "answer"\n')
    assert len(studies) == 3
    assert len(rejected) == 4
    assert sorted((example.target or "") for example in examples) == ["", "Liver", "in the wall", "yes"]
    [ingested] = (tmp_path / "runs" / "ingest").iterdir()
    assert len(list((ingested / "images").iterdir())) == 3
