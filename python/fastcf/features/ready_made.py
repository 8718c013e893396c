"""Features of the MovieLens sets in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from fastcf.data import read_items, read_tags, read_users
from fastcf.data.files import first_that_exists
from fastcf.data.lines import decoded, numbered_lines
from fastcf.errors import DataError
from fastcf.features.derived import user_features
from fastcf.features.joining import hstack
from fastcf.features.reading import read_years
from fastcf.features.tables import TableFeatures
from fastcf.ids import IdMap
from fastcf.preprocessing import FeatureTable
from fastcf.ratings import Ratings

__all__ = ["MovieLensFeatures", "movielens"]


class MovieLensFeatures(NamedTuple):
    """Features of a MovieLens set.

    Attributes
    ----------
    items : FeatureTable
        All films of the set, rated or not.
    users : FeatureTable or None
        All users of the set, or of the ratings given; None where neither the folder nor ratings have users.
    """

    items: FeatureTable
    users: FeatureTable | None


def movielens(
    folder: str | os.PathLike[str], ratings: Ratings | None = None, *, min_tag_count: int | None = None
) -> MovieLensFeatures:
    """Return features of films and users of a MovieLens folder, or of one of the same layout.

    Films have their genres, 0 or 1, and the year of the title, standardised. Users of MovieLens 100k and 1M have
    gender, occupation and region (the first character of their zip code), one-hot, and their age: standardised years in
    100k, one-hot groups in 1M.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder of the files.
    ratings : Ratings, optional
        Training ratings, and those alone (see :func:`fastcf.features.user_features`): users then have the features
        that can be derived from them and the genres, standardised, beside what the folder says of them. The only
        features of users that later sets offer.
    min_tag_count : int, optional
        Tags given to at least this many films become features of films, 0 or 1, regardless of case. By default none do.

    Returns
    -------
    MovieLensFeatures
        ``items`` and ``users``.

    Raises
    ------
    DataError
        If a file is missing or malformed (file, line number and text are given), or films have neither genres nor
        years.
    ValueError
        If a film or user is listed twice, or a rated film not at all.

    Examples
    --------
    >>> films, users = movielens("ml-latest-small")  # doctest: +SKIP
    """
    folder = Path(folder)
    films = read_items(folder)
    genres = None
    if any(films.genres):
        genres = TableFeatures("item", multi_hot=["genre"]).fit_transform({"item": films.ids, "genre": films.genres})
    parts = [] if genres is None else [genres]
    years = read_years(films.titles, "movielens: titles")
    if not np.isnan(years).all():
        parts.append(TableFeatures("item", numeric=["year"]).fit_transform({"item": films.ids, "year": years}))
    if not parts:
        raise DataError(f"{folder}: films have no features: neither genres nor years in their titles")
    if min_tag_count is not None:
        features = TableFeatures("item", multi_hot=["tag"], min_count=min_tag_count)
        parts.append(features.fit_transform({"item": films.ids, "tag": _tags(folder, films.ids)}))
    users = _user_features(folder)
    if ratings is not None:
        known = None if users is None else users.ids
        derived = user_features(ratings, genres, users=known)
        scaled = FeatureTable(derived.ids, StandardScaler().fit_transform(derived.matrix), derived.names)
        users = scaled if users is None else hstack([users, scaled])
    return MovieLensFeatures(hstack(parts), users)


def _tags(folder: Path, items: NDArray[Any]) -> NDArray[np.object_]:
    """Return the distinct tags of each item in lower case, as tuples."""
    table = read_tags(folder)
    texts = ([str(each) for each in ids.tolist()] for ids in (items, table.items))
    rows = IdMap(next(texts)).rows(next(texts))  # either file may hold an id that is no integer
    bags: list[set[str]] = [set() for _ in range(len(items))]
    for row, tag in zip(rows, table.tags, strict=True):
        if row >= 0:
            bags[row].add(tag.lower())
    return np.fromiter(map(tuple, bags), object, len(bags))


def _user_features(folder: Path) -> FeatureTable | None:
    path = first_that_exists(folder, "users.dat", "u.user")
    if path is None or next(numbered_lines(decoded(path)), (0, ""))[1].count("::") == 1:
        return None  # MovieTweetings names accounts there, and nothing else
    users = read_users(path)
    regions = [code[:1] for code in users.zip_codes]
    table = {
        "user": users.ids,
        "age": users.ages,
        "gender": users.genders,
        "occupation": users.occupations,
        "region": regions,
    }
    labels, age = ["gender", "occupation", "region"], ["age"]
    if path.name.startswith("users.dat"):  # ages of groups
        return TableFeatures("user", one_hot=[*age, *labels]).fit_transform(table)
    return TableFeatures("user", one_hot=labels, numeric=age).fit_transform(table)
