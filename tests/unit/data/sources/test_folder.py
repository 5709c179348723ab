import csv
import json

import pytest

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError
from radlet.data.sources.base import Rejected
from radlet.data.sources.folder import FolderSource


def write_table(folder, rows, name="table.jsonl"):
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    for row in rows:
        image = folder / str(row.get("file", ""))
        if "missing" not in image.name and ".." not in str(row.get("file")):
            image.parent.mkdir(exist_ok=True)
            image.touch()


def read(folder, columns, tables=({"path": "table.jsonl"},), **shard):
    source = load_config(FolderSource, None, kind="folder", root=folder, tables=list(tables), columns=columns)
    items = list(source.studies(seed=0, **shard))
    rejected = {item.item_id: item.reason for item in items if isinstance(item, Rejected)}
    return [item.study for item in items if not isinstance(item, Rejected)], rejected


def test_rows_of_a_study_are_put_together(tmp_path):
    text = {"find": "Clear.", "ind": "Cough", "sex": "female", "age": "061Y", "maker": "Maker 1"}
    write_table(
        tmp_path,
        [
            {"file": "1.png", "exam": "s1", "who": "p1", "pos": "PA", "kind": "frontal", **text},
            {"file": "2.png", "exam": "s1", "who": "p1", "pos": None, "kind": "lateral", **text},
            {"file": "3.png", "exam": "s2", "who": "p1", "pos": None, "kind": "frontal", **text, "find": " "},
        ],
    )
    columns = {"image": "file", "study_id": "exam", "patient_id": "who", "view": ["pos", "kind"], "findings": "find"}
    more = {"indication": "ind", "sex": "sex", "age_years": "age", "scanner": "maker"}
    (one, two), rejected = read(tmp_path, columns | more)
    assert not rejected
    assert [(image.image_id, image.view) for image in one.images] == [("1.png", "PA"), ("2.png", "LATERAL")]
    assert [image.view for image in two.images] == [None]
    assert (one.study_id, one.patient_id, one.sex, one.age_years, one.scanner) == ("s1", "p1", "F", 61, "Maker 1")
    assert one.sections == {"findings": "Clear.", "indication": "Cough"}
    assert two.sections == {"indication": "Cough"}


def test_bad_rows_are_refused_by_id_and_the_rest_goes_on(tmp_path):
    write_table(
        tmp_path,
        [
            {"file": "1.png", "exam": "s1", "who": "p1"},
            {"file": "missing.png", "exam": "s2", "who": "p1"},
            {"file": "../out.png", "exam": "s3", "who": "p1"},
            {"file": "1.png", "exam": "s4", "who": "p1"},
            {"file": "5.png", "exam": "s1", "who": "p2"},
            {"file": None, "exam": "s6", "who": "p1"},
            {"file": "/etc/hostname", "exam": "s7", "who": "p1"},
        ],
    )
    studies, rejected = read(tmp_path, {"image": "file", "study_id": "exam", "patient_id": "who"})
    assert [study.study_id for study in studies] == ["s1"]
    assert rejected == {
        "missing.png": "the file is missing",
        "../out.png": "its path leads out of the root folder",
        "1.png": "the same film or id stands in an earlier row",
        "5.png": "its study has another patient or split in an earlier row",
        "table.jsonl:6": "the row names no film",
        "/etc/hostname": "its path leads out of the root folder",
    }


def test_labels_come_from_a_table_in_one_column_or_from_many_columns(tmp_path):
    write_table(tmp_path, [{"file": "1.png", "gold": {"Edema": 1, "Mass": 0, "Hernia": -1, "Nodule": None}}])
    [study], _ = read(tmp_path, {"image": "file", "labels": "gold"})
    assert study.labels == {"Edema": 1, "Mass": 0}
    write_table(tmp_path, [{"file": "1.png", "Edema": "1.0", "Mass": "", "Hernia": "-1.0", "Nodule": "0"}], "t.csv")
    columns = {"image": "file", "labels": ["Edema", "Mass", "Hernia", "Nodule"]}
    [study], _ = read(tmp_path, columns, [{"path": "t.csv"}])
    assert study.labels == {"Edema": 1, "Nodule": 0}


def test_splits_come_from_the_table_or_the_column(tmp_path):
    write_table(tmp_path, [{"file": "1.png", "part": "validate"}, {"file": "2.png", "part": "other"}])
    write_table(tmp_path, [{"file": "3.png", "part": "validate"}], "more.jsonl")
    tables = [{"path": "table.jsonl"}, {"path": "more.jsonl", "split": "test"}]
    studies, _ = read(tmp_path, {"image": "file", "split": "part"}, tables)
    assert [study.split for study in studies] == ["dev", None, "test"]


def test_shards_part_the_studies(tmp_path):
    write_table(tmp_path, [{"file": f"{number}.png"} for number in range(7)])
    parts = [read(tmp_path, {"image": "file"}, shard=shard, num_shards=3)[0] for shard in range(3)]
    whole, _ = read(tmp_path, {"image": "file"})
    assert sorted(study.study_id for part in parts for study in part) == sorted(study.study_id for study in whole)
    assert [len(part) for part in parts] == [3, 2, 2]


def test_a_wrong_column_is_answered_with_the_right_one(tmp_path):
    write_table(tmp_path, [{"file": "1.png"}])
    with pytest.raises(DataError, match=r"has no column 'fil'\. Did you mean 'file'\?"):
        read(tmp_path, {"image": "fil"})


def test_a_broken_table_is_refused_without_its_text(tmp_path):
    (tmp_path / "table.jsonl").write_text('{"file": "DOE JANE"')
    with pytest.raises(DataError, match=r"cannot be read as \.jsonl") as refusal:
        read(tmp_path, {"image": "file"})
    assert "DOE" not in str(refusal.value)
    with pytest.raises(DataError, match="not a known kind of table"):
        read(tmp_path, {"image": "file"}, [{"path": "table.xls"}])


def test_a_recipe_without_tables_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="tables"):
        read(tmp_path, {"image": "file"}, [])


def test_a_row_in_another_encoding_is_refused_and_the_rest_is_kept(tmp_path):
    write_table(tmp_path, [{"file": "1.png", "find": "Clear."}, {"file": "2.png", "find": "Erguss"}])
    path = tmp_path / "table.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Erguss", b"Erg\xfcss"))
    studies, rejected = read(tmp_path, {"image": "file", "findings": "find"})
    assert [study.study_id for study in studies] == ["1.png"]
    assert rejected == {"table.jsonl:2": "the row is not UTF-8 text"}


ASKED = {"image": "file", "question": "q", "answer": "a", "answer_kind": "kind", "topic": "topic"}


def test_every_row_of_a_film_is_a_question_about_it(tmp_path):
    rows = [
        {"file": "1.png", "q": "Is there an effusion?", "a": "yes", "kind": "CLOSED ", "topic": "PRES", "who": "p1"},
        {"file": "1.png", "q": "Where?", "a": 3, "kind": None, "topic": None, "who": "p1"},
        {"file": "1.png", "q": "Where?", "a": 3, "kind": None, "topic": None, "who": "p1"},
        {"file": "1.png", "q": "Why?", "a": None, "kind": None, "topic": None, "who": "p1"},
        {"file": "1.png", "q": "Who?", "a": "x", "kind": None, "topic": None, "who": "p2"},
        {"file": "missing.png", "q": "Where is it?", "a": "x", "kind": None, "topic": None, "who": "p3"},
        {"file": "2.png", "q": None, "a": None, "kind": None, "topic": None, "who": "p4"},
    ]
    write_table(tmp_path, rows)
    (one, two), rejected = read(tmp_path, {**ASKED, "patient_id": "who"})
    assert [(asked.question, asked.answer, asked.kind, asked.topic) for asked in one.questions] == [
        ("Is there an effusion?", "yes", "closed", "PRES"), ("Where?", "3", "open", None),
    ]  # fmt: skip
    assert {asked.image_ids for asked in one.questions} == {("1.png",)}
    assert len(one.images) == 1
    assert two.questions == ()
    apart = "its films do not stand in the study, patient and split of the row"
    assert rejected == {
        "table.jsonl:3:question": "the same question and answer stand in an earlier row",
        "table.jsonl:4:question": "the row has a question without an answer, or the reverse",
        "table.jsonl:5:question": apart,
        "missing.png": "the file is missing",
        "table.jsonl:6:question": apart,
    }


def test_rows_can_be_left_out_by_a_column_and_a_caption_is_read(tmp_path):
    write_table(
        tmp_path,
        [
            {"file": "1.png", "organ": "Chest", "text": "A film.", "xray": True},
            {"file": "2.png", "organ": "HEAD", "text": "Another.", "xray": True},
            {"file": "3.png", "organ": "CHEST", "text": None, "xray": False},
        ],
    )
    source = load_config(
        FolderSource, None, kind="folder", root=tmp_path, tables=[{"path": "table.jsonl"}],
        columns={"image": "file", "caption": "text"}, where={"organ": ["CHEST"], "xray": ["true"]},
    )  # fmt: skip
    kept, *refused = source.studies(seed=0)
    assert (kept.study.study_id, kept.study.caption) == ("1.png", "A film.")
    assert [(item.item_id, item.reason) for item in refused] == [
        ("table.jsonl:2", "left out by rule: the column 'organ' holds another word"),
        ("table.jsonl:3", "left out by rule: the column 'xray' holds another word"),
    ]


def test_a_question_needs_its_answer_and_where_needs_its_column(tmp_path):
    write_table(tmp_path, [{"file": "1.png", "q": "Why?"}])
    with pytest.raises(ConfigError, match="a question needs its answer"):
        read(tmp_path, {"image": "file", "question": "q"})
    source = load_config(
        FolderSource, None, kind="folder", root=tmp_path, tables=[{"path": "table.jsonl"}],
        columns={"image": "file"}, where={"organs": ["CHEST"]},
    )  # fmt: skip
    with pytest.raises(DataError, match="has no column 'organs'"):
        list(source.studies(seed=0))
