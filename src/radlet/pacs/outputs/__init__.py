"""Drafts and signed reports as DICOM objects: what wrote them, who answers for them if anybody, and their film."""
