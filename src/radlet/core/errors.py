"""The error tree of radlet.

    RadletError
    ├── ConfigError        a recipe, an override or a command-line value
    ├── DataError          a file, a row or a manifest that cannot be used
    │   └── DicomError     a DICOM object that cannot be turned into a film
    ├── RunError           a run directory that cannot be written
    ├── CheckpointError    a model folder that is missing, broken or does not fit
    ├── UnknownNameError   a name that no registry knows
    └── PrivacyError       an act that would move data outside the machine

Messages say what was wrong with the value, what is allowed and what to do, and never contain patient text.
"""


class RadletError(Exception):
    """Base of every error a user can act on; the command line prints it in one message and exits 2."""


class ConfigError(RadletError):
    """A recipe, an override or a command-line value is wrong."""


class DataError(RadletError):
    """A file, a row or a manifest cannot be used."""


class DicomError(DataError):
    """A DICOM object cannot be turned into a film."""


class RunError(RadletError):
    """A run directory cannot be made, or another process is writing into it."""


class CheckpointError(RadletError):
    """A model folder is missing, broken or does not fit what was asked of it."""


class UnknownNameError(RadletError):
    """A name that no registry knows; the message offers the nearest right one."""


class PrivacyError(RadletError):
    """An act that would move data outside the machine without the recipe's leave."""
