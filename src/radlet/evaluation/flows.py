"""Geometry of a flow diagram: columns of nodes as high as their counts, joined by bands, for inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kept", "aside", "lost"]

WIDTH = 1056
_NODE_WIDTH = 10
_LABEL_ROOM = 240
"""Kept free to the right of the last column."""
_PITCH = 40
"""Least distance of two nodes of a column, so that their labels do not meet."""
_GAP = 18
_LEAST = 1.5
"""Least thickness: what is rare must still be seen."""


@dataclass(frozen=True)
class Node:
    """A state of the items; its count is the larger of what comes in and what goes out."""

    key: str
    label: str
    column: int
    kind: Kind = "kept"


@dataclass(frozen=True)
class Link:
    """So many items go from one node to another."""

    start: str
    end: str
    count: int


@dataclass(frozen=True)
class PlacedNode:
    """A node as it is drawn; lengths in pixels from the top left."""

    label: str
    count: int
    kind: Kind
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Band:
    """A link as it is drawn: an SVG path."""

    path: str
    kind: Kind
    title: str


@dataclass(frozen=True)
class Diagram:
    """A flow ready to be drawn."""

    nodes: tuple[PlacedNode, ...]
    bands: tuple[Band, ...]
    width: int
    height: int


def draw_flow(nodes: Sequence[Node], links: Sequence[Link], height: int = 240) -> Diagram | None:
    """Place nodes, in the order given from the top of their columns, and the bands between them.

    Args:
        nodes: Those without any item are left out.
        links: Those of no item are left out.
        height: Pixels that the fullest column takes for its items alone.
    """
    links = [link for link in links if link.count > 0]
    counts = {node.key: _count(node.key, links) for node in nodes}
    nodes = [node for node in nodes if counts[node.key]]
    if not nodes:
        return None
    columns = range(max(node.column for node in nodes) + 1)
    fullest = max(sum(counts[node.key] for node in nodes if node.column == column) for column in columns)
    scale = height / fullest
    step = (WIDTH - _LABEL_ROOM - _NODE_WIDTH) / max(len(columns) - 1, 1)
    placed: dict[str, PlacedNode] = {}
    for column in columns:
        y = 0.0
        for node in (node for node in nodes if node.column == column):
            tall = max(counts[node.key] * scale, _LEAST)
            placed[node.key] = PlacedNode(node.label, counts[node.key], node.kind, column * step, y, _NODE_WIDTH, tall)
            y += max(tall + _GAP, _PITCH)
    bottom = max(max(node.y + node.height, node.y + _PITCH) for node in placed.values())
    return Diagram(tuple(placed.values()), _bands(links, placed, scale), WIDTH, int(bottom) + 1)


def _count(key: str, links: Sequence[Link]) -> int:
    return max(
        sum(link.count for link in links if link.end == key), sum(link.count for link in links if link.start == key)
    )


def _bands(links: Sequence[Link], placed: dict[str, PlacedNode], scale: float) -> tuple[Band, ...]:
    """Join the nodes; at a node its bands stand in the order in which the links are given."""
    left, right = {key: node.y for key, node in placed.items()}, {key: node.y for key, node in placed.items()}
    bands = []
    for link in links:
        start, end = placed[link.start], placed[link.end]
        tall = max(link.count * scale, _LEAST)
        kind = end.kind if end.kind != "kept" else start.kind
        path = _band_path(start.x + start.width, right[link.start], end.x, left[link.end], tall)
        bands.append(Band(path, kind, f"{start.label} → {end.label}: {link.count:,}"))
        right[link.start] += link.count * scale
        left[link.end] += link.count * scale
    return tuple(bands)


def _band_path(x0: float, y0: float, x1: float, y1: float, tall: float) -> str:
    middle, low0, low1 = (x0 + x1) / 2, y0 + tall, y1 + tall
    return (
        f"M{x0:.1f},{y0:.1f} C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f} "
        f"L{x1:.1f},{low1:.1f} C{middle:.1f},{low1:.1f} {middle:.1f},{low0:.1f} {x0:.1f},{low0:.1f} Z"
    )
