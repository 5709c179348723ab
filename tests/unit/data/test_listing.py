import stat

import pytest

from radlet.core.records import ImageRecord, Study
from radlet.data import listing
from radlet.data.listing import list_source, read_piece
from radlet.data.sources.base import ListedSource, RawStudy, Rejected


class Numbers(ListedSource):
    kind: str = "numbers"
    count: int

    def list_studies(self, scratch):
        assert scratch.is_dir()
        for number in range(self.count):
            if number % 5 == 4:
                yield Rejected(f"r{number}", "no reason\u2028but a line end of its own")
                continue
            film = ImageRecord(image_id=f"i{number}", path=f"/raw/{number}")
            yield RawStudy(Study(study_id=f"s{number}", patient_id="p", images=(film,), report="Größe.\n\u2029"))


class Broken(Numbers):
    def list_studies(self, scratch):
        yield from super().list_studies(scratch)
        raise OSError


def read(pieces):
    return [item for piece in pieces for item in read_piece(piece)]


@pytest.mark.parametrize("count", [0, 1, 31, 200])
def test_pieces_in_their_order_are_the_shards_in_theirs(tmp_path, monkeypatch, count):
    monkeypatch.setattr(listing, "_PIECE_ITEMS", 3)
    source = Numbers(count=count)
    seen = []
    pieces = list_source(source, tmp_path / "listing", lambda: seen.append(1))
    assert len(seen) == count
    assert read(pieces) == [item for shard in range(32) for item in source.studies(0, shard, 32)]
    assert max([len(list(read_piece(piece))) for piece in pieces], default=0) <= 3


def test_a_listing_that_is_there_is_taken_as_it_is(tmp_path):
    first = list_source(Numbers(count=3), tmp_path / "listing", lambda: None)
    assert list_source(Numbers(count=9), tmp_path / "listing", lambda: None) == first
    assert len(read(first)) == 3


def test_a_listing_that_broke_off_is_begun_anew(tmp_path):
    with pytest.raises(OSError):  # noqa: PT011 - it has no text
        list_source(Broken(count=70), tmp_path / "listing", lambda: None)
    assert not (tmp_path / "listing").exists()
    assert len(read(list_source(Numbers(count=4), tmp_path / "listing", lambda: None))) == 4


def test_raw_ids_are_readable_by_the_owner_alone(tmp_path):
    list_source(Numbers(count=1), tmp_path / "listing", lambda: None)
    assert stat.S_IMODE((tmp_path / "listing").stat().st_mode) == 0o700
