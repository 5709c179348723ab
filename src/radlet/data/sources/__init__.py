"""Sources of studies: each reads one layout of raw films and reports, or makes them."""

from radlet.core.registry import Registry

SOURCES = Registry(
    "sources",
    {
        "folder": "radlet.data.sources.folder:FolderSource",
        "dicom_tree": "radlet.data.sources.dicom_tree:DicomTreeSource",
        "synthetic": "radlet.data.sources.synthetic:SyntheticSource",
    },
)
