"""Studies on their way through the reading room: kept, drafted, edited, signed. What web and DICOM node share."""
