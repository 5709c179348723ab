"""Synthetic studies: procedural chest radiographs whose findings, boxes, masks and reports are exactly known."""

from radlet.data.sources.synthetic.dicom_export import write_dicom, write_dicom_tree, write_png_table
from radlet.data.sources.synthetic.source import SyntheticSource

__all__ = ["SyntheticSource", "write_dicom", "write_dicom_tree", "write_png_table"]
