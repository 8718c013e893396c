"""Models on disk: one safetensors file that holds everything needed and no code."""

from fastcf.serialization.archive import Archive, from_archive, register, registered_as, registered_name
from fastcf.serialization.files import (
    FORMAT_VERSION,
    check_finite,
    load,
    load_archive,
    read_metadata,
    save_archive,
    stored_class,
)
from fastcf.serialization.replacing import replacing

__all__ = [
    "FORMAT_VERSION",
    "Archive",
    "check_finite",
    "from_archive",
    "load",
    "load_archive",
    "read_metadata",
    "register",
    "registered_as",
    "registered_name",
    "replacing",
    "save_archive",
    "stored_class",
]
