import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.errors import DataError
from radlet.data import tables
from radlet.data.tables import read_table, table_suffix

ROWS = [{"id": str(number), "text": 'line\nand } ] , [ { quote " in it' * number} for number in range(1, 6)]


def test_packed_tables_read_as_the_plain_ones(tmp_path):
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text("\ufeffid,text\n1,Clear.\n2,\n", encoding="utf-8")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert (
        list(read_table(packed))
        == list(read_table(plain))
        == [{"id": "1", "text": "Clear."}, {"id": "2", "text": None}]
    )
    assert (table_suffix(packed), table_suffix(tmp_path / "A.TSV.GZ")) == (".csv", ".tsv")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_json_rows_are_the_same_as_an_array_and_as_lines_whatever_the_chunk(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(tables, "_CHUNK_CHARACTERS", chunk)
    forms = [json.dumps(ROWS), json.dumps(ROWS, indent=2), "\n".join(json.dumps(row) for row in ROWS)]
    for form in forms:
        (tmp_path / "t.json").write_text(form)
        assert list(read_table(tmp_path / "t.json")) == ROWS


def test_a_bare_nan_is_an_empty_cell(tmp_path):
    (tmp_path / "t.json").write_text('[{"a": NaN, "nested": {"b": NaN, "c": 1.0}}]')
    [row] = read_table(tmp_path / "t.json")
    assert row["a"] is None
    assert math.isnan(row["nested"]["b"])


@given(cut=st.integers(min_value=1))
def test_a_json_array_that_was_cut_off_is_refused(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "t.json"
    whole = json.dumps(ROWS)
    path.write_text(whole[: cut % (len(whole) - 1) + 1])
    with pytest.raises(DataError, match=r"cannot be read as \.json"):
        list(read_table(path))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no gzip", id="not-packed"),
        pytest.param(gzip.compress(b"a,b\n1,2\n" * 500, mtime=0)[:-20], id="cut-off"),
    ],
)
def test_a_damaged_packed_table_is_refused(tmp_path, content):
    (tmp_path / "t.csv.gz").write_bytes(content)
    if content == b"":
        assert list(read_table(tmp_path / "t.csv.gz")) == []
        return
    with pytest.raises(DataError, match=r"cannot be read as \.csv"):
        list(read_table(tmp_path / "t.csv.gz"))
