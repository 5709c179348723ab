"""Synthetic studies: procedural chest radiographs whose findings, boxes, masks and reports are exactly known."""

from radlet.data.sources.synthetic.source import SyntheticSource

__all__ = ["SyntheticSource"]
