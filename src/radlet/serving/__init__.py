"""The HTTP API and the pages of the reading room, on loopback unless told otherwise."""
