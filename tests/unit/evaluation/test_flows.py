import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.evaluation.flows import WIDTH, Link, Node, draw_flow


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_nodes_of_a_column_stand_apart_and_inside_the_picture(counts):
    nodes = [Node("all", "all", 0), *(Node(str(i), f"part {i}", 1) for i in range(len(counts)))]
    diagram = draw_flow(nodes, [Link("all", str(i), count) for i, count in enumerate(counts)])
    if not any(counts):
        assert diagram is None
        return
    assert diagram is not None
    parts = [node for node in diagram.nodes if node.label != "all"]
    assert [node.count for node in parts] == [count for count in counts if count]
    assert diagram.nodes[0].count == sum(counts)
    assert all(low.y - high.y > 39.9 for high, low in pairwise(parts))
    assert all(node.y + node.height <= diagram.height and node.x + node.width <= WIDTH for node in diagram.nodes)
    assert len(diagram.bands) == len(parts)


def test_heights_are_in_the_ratio_of_the_counts_and_bands_do_not_overlap_at_their_node():
    nodes = [Node("all", "all", 0), Node("kept", "kept", 1), Node("gone", "gone", 1, "lost")]
    diagram = draw_flow(nodes, [Link("all", "kept", 300), Link("all", "gone", 100)], height=200)
    assert diagram is not None
    assert [node.height for node in diagram.nodes] == pytest.approx([200, 150, 50])
    starts = [float(re.match(r"M[\d.]+,([\d.]+)", band.path)[1]) for band in diagram.bands]
    assert starts == pytest.approx([0, 150])
    assert [band.kind for band in diagram.bands] == ["kept", "lost"]
    assert diagram.bands[1].title == "all → gone: 100"
