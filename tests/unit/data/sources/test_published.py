import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.errors import DataError
from radlet.core.records import Study
from radlet.data.sources.base import RawStudy, Rejected
from radlet.data.sources.published import (
    FilmsOfStudy,
    ShardOfStudies,
    find_file,
    previous_studies,
    read_ids,
    require_file,
)

ROWS = st.lists(st.fixed_dictionaries({"study": st.sampled_from("abcdefgh"), "film": st.integers(0, 99)}))


@given(rows=ROWS, num_shards=st.integers(1, 5))
def test_every_row_is_in_the_shard_of_its_study_and_in_no_other(rows, num_shards):
    shards = [ShardOfStudies(shard, num_shards).group(rows, lambda row: row["study"]) for shard in range(num_shards)]
    whole = ShardOfStudies(0, 1).group(rows, lambda row: row["study"])
    joined = {study: group for shard in shards for study, group in shard.items()}
    assert joined == whole
    assert sum(map(len, shards)) == len(whole)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("pq"), st.integers(0, 5)), unique_by=lambda row: row[0]))
def test_the_study_before_is_the_same_patients_and_not_later(rows):
    moments = {str(study): (patient, (float(time),)) for study, patient, time in rows}
    priors = previous_studies((study, patient, time) for study, (patient, time) in moments.items())
    for later, earlier in priors.items():
        assert moments[later][0] == moments[earlier][0]
        assert (moments[earlier][1], earlier) < (moments[later][1], later)
    assert len(set(priors.values())) == len(priors)
    assert len(priors) == sum(max(0, sum(p == patient for _, p, _ in rows) - 1) for patient in "pq")


def test_rows_of_one_study_make_no_study_its_own_prior():
    assert previous_studies([("s", "p", (1.0,)), ("s", "p", (1.0,))]) == {}


def test_films_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "b.png").touch()
    films = FilmsOfStudy(tmp_path)
    films.add("one", ["a.jpg", "b.png"], "PA")
    films.add("one", ["b.png"], "PA")
    films.add("two", ["a.jpg"], None)
    films.add("three", ["../b.png"], None)
    films.add("four", [str(tmp_path / "b.png")], None)
    kept, *rejected = films.items(Study(study_id="s", patient_id="p", images=()))
    assert isinstance(kept, RawStudy)
    assert [(image.image_id, image.path) for image in kept.study.images] == [("one", str(tmp_path / "b.png"))]
    assert [item.reason for item in rejected if isinstance(item, Rejected)] == [
        "the same film stands in an earlier row",
        "the file is missing",
        "its path leads out of the root folder",
        "its path leads out of the root folder",
    ]


def test_a_study_of_refused_films_is_not_yielded_but_one_without_films_is(tmp_path):
    study = Study(study_id="s", patient_id="p", images=())
    films = FilmsOfStudy(tmp_path)
    assert [type(item) for item in films.items(study)] == [RawStudy]
    films.add("one", ["a.jpg"], None)
    assert [type(item) for item in films.items(study)] == [Rejected]


def test_files_are_found_by_the_first_pattern_that_fits(tmp_path):
    for name in ("x-metadata.csv", "x-metadata.csv.gz"):
        (tmp_path / name).touch()
    assert find_file(tmp_path, ("*metadata.csv.gz", "*metadata.csv")) == tmp_path / "x-metadata.csv.gz"
    assert find_file(tmp_path, ("*split.csv",)) is None
    with pytest.raises(DataError, match=r"holds no table of films \(\*\.tsv or \*\.json\)"):
        require_file(tmp_path, ("*.tsv", "*.json"), "table of films")


def test_a_list_of_ids(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.png\r\nb.png\r\n\r\n")
    assert read_ids(tmp_path / "list.txt") == {"a.png", "b.png"}
    with pytest.raises(DataError, match="cannot be read"):
        read_ids(tmp_path / "none.txt")
