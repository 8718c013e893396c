"""Files of models: which they are, and what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from fastcf.cli._titles import TitleFile, Titles
from fastcf.data.items import stored_titles
from fastcf.errors import DataError
from fastcf.serialization import Archive, from_archive, load_archive, stored_class

__all__ = ["LoadedModel", "load_model", "looks_like_model", "refuse_model"]


class LoadedModel(NamedTuple):
    """A model and its file."""

    model: Any
    archive: Archive
    path: Path

    def at(self, time: str | None) -> LoadedModel:
        """Return it as of a time; raises DataError for what has no effects of time."""
        if time is None:
            return self
        self._that("at", "has no effects of time: leave out --at, or train with --temporal")
        return self._replace(model=self.model.at(int(time) if time.removeprefix("-").isdecimal() else time))

    def titles(self, given: TitleFile | None) -> Titles:
        """Return the titles given on the command line, else those in the model's file."""
        if given is not None:
            return Titles(given.read())
        return Titles(stored_titles(self.archive, self.model.items_))

    def that_predicts(self) -> LoadedModel:
        """Return it; raises DataError for retrievers, recommenders in two steps and tables of neighbours."""
        return self._that("predict", "predicts no ratings; give the file of a model")

    def with_users(self) -> LoadedModel:
        """Return it; raises DataError for what makes no lists for users."""
        return self._that("users_", "makes no lists for users; give the file of a model, or use fastcf similar")

    def that_explains(self) -> LoadedModel:
        """Return it; raises DataError for retrievers, tables of neighbours and models that cannot tell."""
        self._that("recommend", "explains no scores; give the file of a model")
        try:
            _ = self.model.explain
        except AttributeError as error:  # which says why
            raise DataError(f"{self.path}: {error}") from None
        return self

    def that_folds_in(self) -> LoadedModel:
        """Return it; raises DataError for what computes no users from their ratings."""
        return self._that("fold_in", "computes no new users from ratings; give the file of a model, or --user ID")

    def _that(self, has: str, why: str) -> LoadedModel:
        if not hasattr(self.model, has):
            raise DataError(f"{self.path}: a {self.archive.class_name} {why}")
        return self


def looks_like_model(path: Path) -> bool:
    """Whether a file begins as safetensors files do (the length of a JSON header, the header) and holds no ratings."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(10)
    return start[8:] == b'{"' and start[5:8] == b"\0\0\0" and stored_class(path) != "Ratings"


def refuse_model(path: Path, needed: str) -> None:
    """Refuse a model file where another file is expected."""
    if looks_like_model(path):
        raise DataError(f"{path}: is a model; expected a file of {needed}")


def load_model(path: Path, threads: int | None = None) -> LoadedModel:
    """Load a model file."""
    archive = load_archive(path)
    model = from_archive(archive)
    if threads is not None and hasattr(model, "set_params"):  # a table of neighbours computes nothing
        model.set_params(n_threads=threads)
    return LoadedModel(model, archive, path)
