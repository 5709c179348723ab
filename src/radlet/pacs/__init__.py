"""The DICOM node: receive films, draft reports, return them as DICOM objects. A door to the reading room."""
