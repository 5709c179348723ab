import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.errors import DataError
from radlet.data import tables
from radlet.data.tables import is_undecodable, read_table, table_suffix

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


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_one_row_that_is_not_utf8_is_known_and_the_rest_goes_on(tmp_path, suffix):
    rows = [{"id": "1", "report": "clear"}, {"id": "2", "report": "caf\xe9"}, {"id": "3", "report": "größer"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if suffix == ".csv":
        lines = ["id,report", *(f"{row['id']},{row['report']}" for row in rows)]
    text = f"[{','.join(lines)}]" if suffix == ".json" else "\n".join(lines)
    path = tmp_path / f"t{suffix}"
    path.write_bytes(text.encode().replace("é".encode(), b"\xe9"))
    with pytest.raises(DataError, match="UnicodeError"):
        list(read_table(path))
    read = list(read_table(path, keep_undecodable=True))
    assert [is_undecodable(row) for row in read] == [False, True, False]
    assert read[2]["report"] == "größer"


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"nested": [{"a": "\\ud83d"}]}\n')
    with pytest.raises(DataError, match="UnicodeError"):
        list(read_table(path))
    assert is_undecodable(next(read_table(path, keep_undecodable=True)))
