import os
import stat

import pytest

from radlet.core.errors import ConfigError
from radlet.core.records import Box, Finding, ImageRecord, Question, Study
from radlet.data.pseudonyms import Pseudonyms, load_or_make_key


def test_every_id_of_a_study_is_replaced_consistently():
    box = Box(x_min=0, y_min=0, x_max=1, y_max=1)
    study = Study(
        study_id="MRN1",
        patient_id="MRN1",
        images=(ImageRecord(image_id="MRN1", path="x"),),
        truth=(Finding(kind="effusion", observation="Pleural Effusion", boxes={"MRN1": box}),),
        questions=(Question(question="?", answer="a", kind="open", image_ids=("MRN1",)),),
        prior_study_id="MRN0",
        age_years=93,
    )
    pseudonyms = Pseudonyms(b"k" * 32)
    own = pseudonyms.study(study)
    assert len({own.study_id, own.patient_id, own.images[0].image_id}) == 3
    assert own.prior_study_id == pseudonyms.of("study", "MRN0")
    assert own.truth is not None
    assert list(own.truth[0].boxes) == [own.images[0].image_id]
    assert own.questions[0].image_ids == (own.images[0].image_id,)
    assert "MRN" not in own.model_dump_json()
    assert own.age_years == 90
    assert Pseudonyms(b"l" * 32).study(study).study_id != own.study_id


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "private" / "key"
    key = load_or_make_key(path, may_make=True)
    assert load_or_make_key(path, may_make=True) == key
    assert len(key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_first_of_two_makers_of_a_key_wins(tmp_path, monkeypatch):
    path = tmp_path / "key"
    made = []

    def link(_, target):
        target.write_text("b" * 64 + "\n")  # another run was faster
        made.append(target)
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    assert load_or_make_key(path, may_make=True) == b"b" * 64
    assert made == [path]
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_is_made_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    key = load_or_make_key(tmp_path / "key", may_make=True)
    assert load_or_make_key(tmp_path / "key", may_make=False) == key
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_missing_or_short_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_or_make_key(tmp_path / "key", may_make=False)
    (tmp_path / "key").write_text("short")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        load_or_make_key(tmp_path / "key", may_make=False)
