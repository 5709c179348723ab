"""A checkpoint in; reports and attention maps out."""
