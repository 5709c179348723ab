import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, SECTIONS, Box, Example, Finding, ImageRecord, Prediction, State, Study
from radlet.data.manifests import read_examples, read_records, read_studies, write_records

words = st.text(max_size=20)
boxes = st.builds(lambda x, y: Box(x_min=min(x), y_min=min(y), x_max=max(x), y_max=max(y)), *[
    st.tuples(st.floats(0, 1), st.floats(0, 1))] * 2)  # fmt: skip
findings = st.builds(
    Finding,
    kind=words,
    observation=st.sampled_from(OBSERVATIONS),
    side=st.sampled_from([None, "left", "bilateral"]),
    size_mm=st.none() | st.floats(0, 100),
    boxes=st.dictionaries(words, boxes, max_size=2),
)
studies = st.builds(
    Study,
    study_id=words,
    patient_id=words,
    images=st.lists(
        st.builds(ImageRecord, image_id=words, path=words, height_px=st.none() | st.integers(1, 9)), max_size=3
    ),
    report=st.none() | words,
    sections=st.dictionaries(st.sampled_from(SECTIONS), words, max_size=2),
    labels=st.dictionaries(words, st.integers(0, 1), max_size=2),
    truth=st.none() | st.lists(findings, max_size=2).map(tuple),
    split=st.sampled_from([None, "train"]),
    age_years=st.none() | st.integers(0, 90),
)


@settings(max_examples=30)
@given(rows=st.lists(studies, max_size=4))
def test_studies_come_back_as_they_were_written(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert write_records(folder / "studies.parquet", rows) == len(rows)
    assert list(read_studies(folder)) == rows


def make_example(**values):
    given = {"example_id": "e", "study_id": "s", "patient_id": "p", "split": "train", "image_paths": ("a.png",)}
    return Example(**{**given, "views": (None,), **values})


def test_examples_come_back_with_absolute_paths(tmp_path):
    (tmp_path / "build").mkdir()
    example = make_example(image_paths=("../ingest/images/a.png",), observations={"Edema": State.UNCERTAIN})
    write_records(tmp_path / "build" / "examples.parquet", [example])
    [read] = read_examples(tmp_path / "build")
    assert read.image_paths == (str(tmp_path / "ingest" / "images" / "a.png"),)
    assert read.observations == {"Edema": State.UNCERTAIN}


def test_rows_are_written_in_batches(tmp_path):
    rows = (Prediction(example_id=str(i), patient_id="p", text="t") for i in range(2500))
    assert write_records(tmp_path / "p.parquet", rows) == 2500
    with pq.ParquetFile(tmp_path / "p.parquet") as file:
        assert file.num_row_groups == 3
    assert [row.example_id for row in read_records(tmp_path / "p.parquet", Prediction)] == [str(i) for i in range(2500)]


def test_a_failing_source_leaves_no_file_behind_under_the_final_name(tmp_path):
    def rows():
        yield Prediction(example_id="1", patient_id="p", text="t")
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the very error of the source
        write_records(tmp_path / "p.parquet", rows())
    assert not (tmp_path / "p.parquet").exists()


def test_another_kind_of_record_is_refused_without_its_values(tmp_path):
    write_records(tmp_path / "p.parquet", [Prediction(example_id="1", patient_id="DOE^JANE", text="t")])
    with pytest.raises(DataError, match="kind Study") as refusal:
        list(read_records(tmp_path / "p.parquet", Study))
    assert "DOE" not in str(refusal.value)


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "studies.parquet").write_text("no")
    with pytest.raises(DataError, match="not a readable Parquet"):
        list(read_studies(tmp_path))
    with pytest.raises(DataError, match="not a readable Parquet"):
        list(read_studies(tmp_path / "absent"))
