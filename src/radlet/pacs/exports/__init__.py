"""Reports for systems that speak no DICOM: FHIR R4B and HL7 version 2; drafts are preliminary, signed ones final."""
