"""Checkpoints of a blend: a folder with a file of the blend and a file of each training of a member."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastcf.models.blend.members import named, takes
from fastcf.models.estimator import Estimator
from fastcf.training.checkpoint import check_arguments

__all__ = ["AGAIN", "FIRST", "MemberCheckpoints"]

FIRST, AGAIN = "first", "again"
"""Trainings of a member: to the ratings that are not held out, and to all."""


@dataclass(frozen=True)
class MemberCheckpoints:
    """Where the trainings of members are kept.

    Attributes
    ----------
    folder : Path or None
        The folder; None: nothing is kept.
    every : int
        Epochs between two writings.
    places : mapping of str to str
        The beginning of the file names of each member that has checkpoints.
    """

    folder: Path | None
    every: int
    places: Mapping[str, str]

    @classmethod
    def of(
        cls, folder: str | os.PathLike[str] | None, every: int, members: Mapping[str, Estimator], caller: str
    ) -> MemberCheckpoints:
        """Return those of the members whose ``fit`` takes a checkpoint, in a folder that is made.

        Raises TypeError or ValueError for arguments that are none, where no member takes a checkpoint, and where the
        path is a file.
        """
        check_arguments(folder, every, caller)
        places = {
            name: f"{place}-{quote(name, safe='')}"  # numbered: also where case does not count in file names
            for place, (name, model) in enumerate(members.items(), start=1)
            if _is_trained(model)
        }
        if folder is None:
            return cls(None, every, places)
        if not places:
            raise ValueError(
                f"{caller}: checkpoint must be None where no member is trained in epochs, which a checkpoint keeps; "
                f"got {os.fspath(folder)!r}"
            )
        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise ValueError(
                f"{caller}: checkpoint of a blend must be a folder, with a file for each member; got {path}, a file"
            )
        path.mkdir(parents=True, exist_ok=True)
        return cls(path, every, places)

    @property
    def of_blend(self) -> Path | None:
        """The file that says which blend the folder is of."""
        return None if self.folder is None else self.folder / "blend"

    def arguments(self, name: str, training: str) -> dict[str, Any]:
        """Return the arguments of a member's ``fit``."""
        if self.folder is None or name not in self.places:
            return {}
        return {"checkpoint": self.folder / f"{self.places[name]}.{training}", "checkpoint_every": self.every}


def _is_trained(model: Estimator) -> bool:
    """Whether a model's ``fit`` keeps checkpoints: that of a blend by its members."""
    own = model.get_params(deep=False)
    members = [each for _, each in named(own.get("models")) if isinstance(each, Estimator)]
    if members:
        return bool(own["fit_members"]) and any(_is_trained(each) for each in members)
    return takes(model, "checkpoint")
