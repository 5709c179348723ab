"""Drafts as DICOM objects, each an unverified AI draft that names what wrote it and the film it was written from."""
