import pytest

from radlet.core.errors import DataError
from radlet.core.jsonl import read_lines, read_rows


def rows(path):
    return list(read_rows(path, "an object"))


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes('\ufeff{"a": "one\u2028two\u2029three\x85four"}\r\n\n \n{"b": 2}'.encode())
    assert rows(file) == [(1, {"a": "one\u2028two\u2029three\x85four"}), (4, {"b": 2})]


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "empty").touch()
    assert read_lines(tmp_path / "empty") == []


@pytest.mark.parametrize(
    "line", ["[1]", '"Jane Doe"', "3", "null", '{"Jane Doe"', "Jane Doe", "[" * 100_000, "1" * 5_000]
)
def test_a_line_that_is_no_object_is_named_and_not_quoted(tmp_path, line):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n\n' + line)
    with pytest.raises(DataError, match=r"rows\.jsonl, line 3: is not .* Give an object\.") as caught:
        rows(file)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xe9", '{"a": 1}'.encode("utf-16")])
def test_another_encoding_is_refused(tmp_path, data):
    (tmp_path / "rows.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=r"rows\.jsonl: is not UTF-8 text"):
        rows(tmp_path / "rows.jsonl")


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="cannot be read"):
            read_lines(path)
