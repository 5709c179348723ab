"""Malformed objects over the wire: the node answers each, keeps what is a film and nothing else, and goes on."""

import logging
import resource
from pathlib import Path

import pytest
from pydicom.uid import ComputedRadiographyImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from tests.fixtures.dicom_files import PLANTED
from tests.fixtures.dicom_node import film, open_room, send
from tests.fixtures.malformed_objects import SYNTAXES, malformed, send_as_it_is

from radlet.data.images import read_film
from radlet.pacs.network_libraries import prepare_libraries
from radlet.pacs.node import DicomNode
from radlet.pacs.settings import NodeSettings

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]
NUM_OBJECTS = 112
MOST_MORE_MB = 400
SUCCESS, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA900, 0xC000


def associated(port: int) -> Association:
    prepare_libraries()
    entity = AE(ae_title="TESTER")
    entity.dimse_timeout = entity.network_timeout = 20
    # Each in a context of its own: all can then be spoken on one association.
    for syntax in SYNTAXES:
        entity.add_requested_context(ComputedRadiographyImageStorage, syntax)
    return entity.associate("127.0.0.1", port, ae_title="RADLET")


def test_whatever_is_sent_is_answered_and_nothing_is_half_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    room = open_room(tmp_path / "room")
    node = DicomNode(room, NodeSettings(port=0, complete_after_s=3600))
    node.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told: dict[int, int | None] = {}
    try:
        association = associated(node.port)
        for number in range(NUM_OBJECTS):
            told[number] = send_as_it_is(association, malformed(number), number)
            if told[number] is None:
                # On a busy machine another thread of the caller may have taken the answer; a node that fell silent
                # stays so.
                association.abort()
                association = associated(node.port)
                told[number] = send_as_it_is(association, malformed(number), number)
        assert association.is_established
        association.release()
        answers = send(node.port, film(tmp_path, 1))
        assert answers is not None
        assert answers[0].Status == SUCCESS
    finally:
        assert node.stop(10)
    odd = {number: status for number, status in told.items() if status not in (SUCCESS, MISMATCH, CANNOT_UNDERSTAND)}
    assert odd == {}
    kept = {malformed(number).uid for number, status in told.items() if status == SUCCESS}
    rows = {image.sop_instance_uid: image for study in room.store.worklist(limit=1000)[0] for image in study.images}
    assert set(rows) == kept | {"1.2.826.0.1.1"}
    files = {path.relative_to(room.store.data_dir) for path in room.store.data_dir.glob("films/**/*") if path.is_file()}
    assert files == {Path(image.path) for image in rows.values()}
    for image in rows.values():
        shape = read_film(room.store.path_of(image)).pixels.shape
        assert shape == (image.height_px, image.width_px)
    for study in room.store.worklist(limit=1000)[0]:
        room.judge(room.store.study(study.id))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MORE_MB * 2**10  # KiB
    assert not [word for word in PLANTED if word in caplog.text]
    room.close(5)
    room.store.close()
