import pytest

from radlet.core.errors import DataError
from radlet.inference.film_lists import FilmEntry, list_films


def test_a_manifest_gives_paths_beside_it_and_may_leave_things_open(tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        '\ufeff{"image": "a.dcm", "id": 7, "indication": "Cough,\u2028fever."}\n\n'
        '{"image": "/films/b.png", "id": null, "indication": null}\n',
        encoding="utf-8",
    )
    [one, two] = list_films([manifest], "Pain.")
    assert one == FilmEntry("7", tmp_path / "a.dcm", "Cough,\u2028fever.")
    assert (two.entry_id, str(two.path), two.indication) == ("b.png", "/films/b.png", "Pain.")


def test_a_question_of_the_manifest_comes_before_the_given_one(tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"image": "a.png", "question": "Left?"}\n{"image": "b.png"}\n', encoding="utf-8")
    assert [entry.question for entry in list_films([manifest], question="Right?")] == ["Left?", "Right?"]
    manifest.write_text('{"image": "a.png", "question": 7}\n', encoding="utf-8")
    with pytest.raises(DataError, match='line 1: "question" must be a text or null'):
        list(list_films([manifest]))


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"{",
        b"{}",
        b'"a"',
        b'{"image": 3}',
        b'{"image": ""}',
        b'{"image": " "}',
        b'{"image": "a", "indication": 5}',
    ],
)
def test_a_wrong_row_is_named_and_not_quoted(tmp_path, line):
    (tmp_path / "m.jsonl").write_bytes(b'{"image": "a.png"}\n' + line + b"\n")
    with pytest.raises(DataError, match=r"m\.jsonl, line 2: "):
        list(list_films([tmp_path / "m.jsonl"]))


def test_a_manifest_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b'{"image": "\xe9"}')
    with pytest.raises(DataError, match=r"m\.jsonl: is not UTF-8 text"):
        list(list_films([tmp_path / "m.jsonl"]))


def test_a_folder_is_searched_for_what_may_be_films(tmp_path):
    names = {"a.dcm", "b/c.PNG", "b/d.jpeg", "1.2.840.113", "IM0001"}
    for name in (*names, "notes.txt", ".hidden.png", "table.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {entry.entry_id for entry in list_films([tmp_path])} == names


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        list(list_films([tmp_path / "nothing.png"]))
