"""A fitted two-tower model: vectors of features, the factor model that they form, new rows, files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastcf.errors import DataError
from fastcf.ids import extended
from fastcf.models.two_tower.baseline import Baseline
from fastcf.models.two_tower.choices import Popularity
from fastcf.models.two_tower.towers import Inputs, Shape, TowerParameters, tower_vectors
from fastcf.preprocessing import FeatureTable
from fastcf.scores import Compute, FactorScores, Folding, Link, State
from fastcf.scores.queries import RatedSide
from fastcf.serialization import Archive

__all__ = ["SIDES", "LearntTowers", "Tower", "TowerFolding"]

Floats = NDArray[np.float32]
SIDES = ("user", "item")


@dataclass(frozen=True, eq=False)
class Tower:
    """A trained tower, and the model's rows of its side."""

    parameters: TowerParameters
    inputs: Inputs
    own: NDArray[np.int32]  # the id input of each row, or -1
    average: Floats  # the mean vector of the ratings' rows


@dataclass(frozen=True, eq=False)
class LearntTowers:
    """Both towers; see :class:`TwoTower` for what ``shown`` names.

    With ū and v̄ the mean vectors, ``c + u·v = (c + ū·v̄) + (u − ū)·v̄ + ū·(v − v̄) + (u − ū)·(v − v̄)``: a factor model in
    which an unknown row, whose factors and bias count as 0, has the average vector. Of choices, items' biases have the
    logarithms of their popularity as well. Where towers are added to a baseline, u and v are the vectors of the towers
    followed by the baseline's factors; its biases and mean are added.
    """

    shown: ClassVar[tuple[str, ...]] = (
        "user_weights", "user_biases", "user_average", "item_weights", "item_biases", "item_average",
        "centre", "scale", "unit", "learning_rate", "log_popularity",
    )  # fmt: skip

    towers: tuple[Tower, Tower]
    shape: Shape
    centre: float
    scale: float
    unit: float
    learning_rate: float
    popularity: Popularity | None = None  # of items, in a model of choices
    baseline: Baseline | None = None

    user_weights = property(lambda self: self.towers[0].parameters.weights)
    user_biases = property(lambda self: self.towers[0].parameters.biases)
    user_average = property(lambda self: self.towers[0].average)
    item_weights = property(lambda self: self.towers[1].parameters.weights)
    item_biases = property(lambda self: self.towers[1].parameters.biases)
    item_average = property(lambda self: self.towers[1].average)
    log_popularity = property(lambda self: None if self.popularity is None else self.popularity.logarithms)

    def vectors(self, side: int, matrix: Any, own: NDArray[np.int32] | None, compute: Compute) -> Floats:
        """Return the vectors of rows of features, with their id inputs, if any."""
        tower = self.towers[side]
        if own is None:
            own = np.full(matrix.shape[0], -1, np.int32)
        features, parameters = tower.inputs.native(matrix, own), tower.inputs.split(tower.parameters)
        vectors = tower_vectors(features, parameters, self.shape, compute)
        vectors *= np.float32(np.sqrt(self.unit))  # towers compute in units of the ratings' standard deviation
        return vectors

    def served_vectors(self, side: int, vectors: Floats, bias: Floats) -> Floats:
        """Return vectors whose product with the other side's is all that predictions add to the centre."""
        if self.baseline is None:
            return vectors
        both = [bias, np.ones_like(bias)]
        return np.column_stack([vectors, *(both if side == 0 else both[::-1])])

    def known_served(self, side: int, scores: FactorScores) -> Floats:
        """Return the vectors of all rows of the model, as they are served."""
        vectors = self.known_vectors(side, scores)
        return vectors if self.baseline is None else self.served_vectors(side, vectors, self.baseline.of_side(side)[1])

    def vectors_of_features(self, side: int, matrix: Any, compute: Compute) -> Floats:
        """Return the vectors, as they are served, of new rows by their features."""
        vectors = self.vectors(side, matrix, None, compute)
        if self.baseline is None:
            return vectors
        factors, bias = self.baseline.of_features(side, matrix)
        return self.served_vectors(side, np.hstack([vectors, factors]), bias)

    def known_vectors(self, side: int, scores: FactorScores) -> Floats:
        """Return the vectors of all rows of the model, those of the towers and of the baseline."""
        factors = (scores.user_factors, scores.item_factors)[side]
        return factors + self.towers[side].average

    def scores(self, users: Floats, items: Floats, link: Link) -> FactorScores:
        """Return the factor model of the vectors of users and items."""
        u, v = self.user_average, self.item_average
        user_factors, item_factors = users - u, items - v
        user_bias = (user_factors @ v).astype(np.float32, copy=False)
        item_bias = (item_factors @ u).astype(np.float32, copy=False)
        mean = self.centre + float(u.astype(np.float64) @ v)
        if self.baseline is not None:
            user_bias, item_bias = (
                bias + own[1]
                for bias, own in zip((user_bias, item_bias), map(self.baseline.of_side, (0, 1)), strict=True)
            )
        if self.log_popularity is not None:  # an unknown item, whose bias counts as 0, is none that anybody chose
            least = self.log_popularity.min(initial=0.0)
            item_bias, mean = item_bias + (self.log_popularity - least), mean + float(least)
        return FactorScores(
            user_factors, item_factors, user_bias, item_bias, mean, link=link, user_centre=u, item_centre=v
        )

    def check(self, side: int, table: FeatureTable, caller: str, argument: str) -> None:
        """Refuse a table that the tower of a side cannot read; raises ValueError."""
        wanted = self.towers[side].inputs.n_features
        if wanted == 0:
            raise ValueError(
                f"{caller}: {argument} must be None for a model whose {SIDES[side]}s have only ids as inputs; got "
                f"{table!r}"
            )
        if table.n_features != wanted:
            raise ValueError(
                f"{caller}: {argument} must have the {wanted} features that the model was fitted on; got "
                f"{table.n_features}"
            )

    def packed(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any], dict[str, Archive]]:
        """Return arrays, JSON values and parts for a file."""
        arrays: dict[str, NDArray[Any]] = {}
        if self.popularity is not None:
            arrays["log_popularity"] = self.popularity.logarithms
            if self.popularity.weights is not None:
                arrays["popularity_weights"] = self.popularity.weights
        meta: dict[str, Any] = {name: getattr(self, name) for name in ("centre", "scale", "unit", "learning_rate")}
        for name, tower in zip(SIDES, self.towers, strict=True):
            arrays |= {f"{name}_average": tower.average, f"{name}_dense": tower.inputs.dense, f"{name}_own": tower.own}
            meta[f"{name}_own_inputs"] = tower.inputs.n_ids
            for what, layers in zip(("weights", "biases"), tower.parameters, strict=True):
                arrays |= {f"{name}_{what}_{n}": array for n, array in enumerate(layers)}
        if self.baseline is None:
            return arrays, meta, {}
        return arrays, meta | self.baseline.meta, {"baseline": self.baseline.model.to_archive()}

    @classmethod
    def unpacked(cls, archive: Archive, common: State, shape: Shape) -> LearntTowers:
        """Return the towers of an archive; ``shape`` has the length of vectors of scale and unit 1, or 0."""
        meta = archive.meta
        centre, scale, unit, rate = (float(meta[name]) for name in ("centre", "scale", "unit", "learning_rate"))
        n_ids = [int(meta[f"{name}_own_inputs"]) for name in SIDES]
        if not (np.isfinite(centre) and min(scale, unit) > 0 and min(n_ids) >= 0):
            raise ValueError(f"centre {centre}, scale {scale}, unit {unit}, inputs {n_ids}")
        baseline, wider = None, 0
        if "baseline" in archive.parts:
            baseline = Baseline.unpacked(archive.parts["baseline"], meta, common)
            wider = baseline.scores.n_factors
        towers = []
        for name, ids, n_own, sizes in zip(SIDES, (common.users, common.items), n_ids, shape[:2], strict=True):
            dense = archive.array(f"{name}_dense", np.bool_, (None,))
            own = archive.array(f"{name}_own", np.int32, (len(ids),))
            if n_own > dense.size or own.max(initial=-1) >= n_own or own.min(initial=0) < -1:
                raise DataError(f"{archive.path}: inputs of {name}s do not fit the {dense.size} of their tower")
            shapes = [(dense.size, sizes[0]), *itertools.pairwise(sizes)]
            weights = [archive.array(f"{name}_weights_{n}", np.float32, each) for n, each in enumerate(shapes)]
            biases = [archive.array(f"{name}_biases_{n}", np.float32, (size,)) for n, size in enumerate(sizes)]
            average = archive.array(f"{name}_average", np.float32, (sizes[-1] + wider,))
            towers.append(Tower(TowerParameters(weights, biases), Inputs(dense, n_own), own, average))
        shape = shape._replace(length=shape.length * float(np.sqrt(scale / unit)))
        popularity = None
        if common.targets.choices:
            n_features, regression = towers[1].inputs.n_features, None
            if n_features > 0:
                regression = archive.array("popularity_weights", np.float32, (n_features + 1,))
            popularity = Popularity(archive.array("log_popularity", np.float32, (len(common.items),)), regression)
        return cls((towers[0], towers[1]), shape, centre, scale, unit, rate, popularity, baseline)


class TowerFolding(Folding):
    """New users and items by their features; known ones with new features keep their own input.

    Beside a baseline also by their ratings, from which it has biases and slopes for them.
    """

    featured_sides = SIDES
    why = ": pass their features"

    def unexplained(self, state: State) -> str:
        """Return why there are no contributions of features."""
        return (
            "hidden layers are not linear, so that what features contribute does not add up to a score; explain with "
            "MixedRegression"
        )

    def __init__(self, baseline: Baseline | None) -> None:
        self.rated_sides = () if baseline is None else SIDES

    def fold_ratings(self, state: State, rated: RatedSide, compute: Compute, caller: str) -> State:
        """Solve the baseline's effects of the rows for what the towers leave of their ratings.

        The towers' vectors are those that known ids have from their features, or the average.
        """
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        side, n = SIDES.index(rated.by), learnt.shape.user_layers[-1]
        ids = (state.users, state.items)[side]
        rows = np.full(len(rated.ids), -1) if rated.strangers else ids.find(rated.ids, caller)
        vectors = [learnt.known_vectors(each, scores) for each in (0, 1)]
        tower = learnt.towers[side]
        own = np.where((rows >= 0)[:, None], vectors[side][rows, :n], tower.average[:n])
        owner = np.repeat(np.arange(len(rated.ids)), np.diff(rated.indptr))
        products = np.einsum("ek,ek->e", own[owner], vectors[1 - side][rated.columns, :n])
        baseline = learnt.baseline.with_rated(rated, products.astype(np.float32), compute, caller)
        vectors[side] = np.hstack([own, baseline.of_side(side)[0]])
        towers = list(learnt.towers)
        towers[side] = replace(tower, own=np.where(rows >= 0, tower.own[rows], np.int32(-1)))
        learnt = replace(learnt, towers=(towers[0], towers[1]), baseline=baseline)
        return state.replaced(scores=learnt.scores(*vectors, scores.link), learnt=learnt)

    def fold_features(self, state: State, features: Mapping[str, FeatureTable], compute: Compute, caller: str) -> State:
        """Compute the vectors of the rows of tables; those of other rows stay."""
        scores, learnt = state.scores.as_factors(), state.learnt
        assert scores is not None
        ids, towers = [state.users, state.items], list(learnt.towers)
        vectors = [learnt.known_vectors(side, scores) for side in (0, 1)]
        for side, name in enumerate(SIDES):
            if name not in features:
                continue
            table = features[name]
            learnt.check(side, table, caller, f"{name}_features")
            ids[side] = extended(ids[side], table.ids, f"{caller}: {name}_features")
            rows = ids[side].rows(table.ids)
            more = len(ids[side]) - len(vectors[side])
            own = np.concatenate([towers[side].own, np.full(more, -1, np.int32)])
            longer = np.concatenate([vectors[side], np.empty((more, vectors[side].shape[1]), np.float32)])
            computed = learnt.vectors(side, table.matrix, own[rows], compute)
            longer[rows, : computed.shape[1]] = computed
            vectors[side], towers[side] = longer, replace(towers[side], own=own)
        if learnt.baseline is not None:
            learnt = replace(
                learnt, baseline=learnt.baseline.folded(**{f"{name}_features": features[name] for name in features})
            )
            n = learnt.shape.user_layers[-1]
            vectors = [np.hstack([rows[:, :n], learnt.baseline.of_side(side)[0]]) for side, rows in enumerate(vectors)]
        seen = None if state.seen is None else state.seen.padded(len(ids[0]))
        learnt = replace(learnt, towers=(towers[0], towers[1]))
        if learnt.popularity is not None and "item" in features:
            table = features["item"]
            order = ids[1].rows(table.ids)
            new = np.argsort(order, kind="stable")[(np.sort(order) >= len(state.items))]
            learnt = replace(learnt, popularity=learnt.popularity.followed_by(table.matrix[new]))
        return state.replaced(
            users=ids[0],
            items=ids[1],
            seen=seen,
            scores=learnt.scores(*vectors, scores.link),
            learnt=learnt,
        )
