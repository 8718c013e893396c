"""Analytic gradients against central differences, in float64, on the code that trains.

The derivative along a coordinate is measured at steps h, h/4, h/16, ... of which the one of the least error is taken.
A central difference D(h) of a cost J is off by

- curvature: h²/6 J‴, or h/4 times the jump of J″ where the cost is smooth by pieces. Both fall at least in proportion
  to h, so that |D(4h) − D(h)| / 3 bounds the error of D(h);
- rounding: σ/h, σ being the noise of an evaluation. It is measured once, from the third to fifth differences of costs
  at neighbouring points, in which nothing else is left;
- kinks, where a step crosses one: the second difference (J(x+h) − 2 J(x) + J(x−h)) / h is then the jump of the slope
  and does not fall with h, while elsewhere it falls in proportion. Half of it is added to the error.

A coordinate is at a kink if the best step still crosses one. Every slope between the two one-sided ones is right there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcf._random import RandomState, seed_from
from fastcf.errors import GradientCheckError
from fastcf.ratings import Ratings, as_ratings

__all__ = ["BlockCheck", "GradientReport", "Objective", "check_gradients", "compare_gradients"]

Parameters = dict[str, NDArray[np.float64]]
Evaluate = Callable[[Parameters], tuple[float, Mapping[str, NDArray[np.float64]]]]

_LADDER = tuple(
    2.0**-power for power in range(8, 23, 2)
)  # steps, relative; sums with them are exact for most parameters
_FIRST = 2  # place on the ladder of the first step that is tried
_NEAR = 1e-10  # spacing of the points between which costs differ by little but noise
_COARSEST = 1e-3  # limit of ε above which there is no verdict
_NEGLIGIBLE = 1e-6  # share of the whole gradient below which a block need not be told from zero
_LEAST_SHARE = 1e-4  # of the typical derivative, to which those of a block are measured at least


class Objective(NamedTuple):
    """The objective of a model, as a function of its parameters.

    Attributes
    ----------
    parameters : dict of str to ndarray of float64
        The point to check at.
    evaluate : callable
        Takes such a dict; returns the cost and a dict of its gradients, computed natively.
    """

    parameters: Parameters
    evaluate: Evaluate


class HasObjective(Protocol):
    """What :func:`check_gradients` needs of a model; ``features`` are those that its ``fit`` takes."""

    def objective(self, ratings: Ratings, seed: int, **features: Any) -> Objective: ...


class BlockCheck(NamedTuple):
    """The result for one array of parameters.

    Attributes
    ----------
    name : str
        Its name.
    epsilon : float
        ``‖G − G′‖ / (‖G‖ + ‖G′‖)`` over the coordinates checked, G being the analytic gradient and G′ the differences;
        0 where both are 0.
    limit : float
        The upper limit of ε: the tolerance, or twice the errors of the differences where these are larger.
    passed : bool
        Whether ε is below the limit, and the limit low enough for a verdict.
    step : float
        The median step of the differences, relative to 1 or the parameter, whichever is larger.
    checked, kinks, size : int
        Number of coordinates checked, of those at kinks, and of all.
    worst : tuple of int
        The coordinate at which the two differ most.
    analytic, numeric : float
        Both derivatives there; at a kink the nearest slope between the one-sided ones.
    """

    name: str
    epsilon: float
    limit: float
    passed: bool
    step: float
    checked: int
    kinks: int
    size: int
    worst: tuple[int, ...]
    analytic: float
    numeric: float


class GradientReport(NamedTuple):
    """The result of :func:`check_gradients`; ``print`` it, or see :attr:`passed`.

    Attributes
    ----------
    blocks : tuple of BlockCheck
        One per array of parameters.
    epsilon : float
        ε over the coordinates of all blocks.
    tolerance : float
        The upper limit of ε where rounding and curvature allow it.
    """

    blocks: tuple[BlockCheck, ...]
    epsilon: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every block has passed."""
        return all(block.passed for block in self.blocks)

    def __str__(self) -> str:
        width = max(len(block.name) for block in self.blocks)
        lines = [f"gradient check, central differences, tolerance {self.tolerance:g}: overall ε = {self.epsilon:.2e}"]
        for block in self.blocks:
            verdict = "passed" if block.passed else "FAILED"
            limit = "" if block.limit <= self.tolerance else f", limit {block.limit:.0e} by rounding"
            kinks = f", {block.kinks:,} at kinks" if block.kinks else ""
            lines.append(
                f"  {block.name:<{width}}  ε = {block.epsilon:8.2e}  {verdict}  ({block.checked:,} of {block.size:,} "
                f"coordinates{kinks}, step {block.step:.0e}{limit}; worst at {list(block.worst)}: "
                f"{block.analytic:.8g} analytic, {block.numeric:.8g} numeric)"
            )
        return "\n".join(lines)

    def require(self, caller: str) -> None:
        """Raise unless the check passed.

        Parameters
        ----------
        caller : str
            Heads the message.

        Raises
        ------
        GradientCheckError
            With the report.
        """
        if not self.passed:
            raise GradientCheckError(f"{caller}: the analytic gradient is not that of the cost\n{self}")


class _Slope(NamedTuple):
    """A derivative measured by differences: the value, a bound of its error, and at a kink the range of slopes."""

    value: float
    error: float
    step: float
    low: float
    high: float
    kink: bool


class _Line:
    """The cost along a coordinate of a block: slopes at the steps that were asked for, each evaluated once."""

    def __init__(self, objective: Objective, parameters: Parameters, name: str, at: int, cost: float) -> None:
        self._objective, self._parameters, self._cost = objective, parameters, cost
        self._flat, self._at = parameters[name].reshape(-1), at
        self._scale = max(1.0, abs(float(self._flat[at])))
        self._sides: dict[int, tuple[float, float, float]] = {}

    def at_step(self, step: float) -> tuple[float, float, float]:
        """Return the absolute step and the slopes on its two sides."""
        here = self._flat[self._at]
        high, low = here + step * self._scale, here - step * self._scale
        costs = []
        for value in (high, low):
            self._flat[self._at] = value
            costs.append(self._objective.evaluate(self._parameters)[0])
        self._flat[self._at] = here
        width = (high - low) / 2
        return float(width), float((self._cost - costs[1]) / width), float((costs[0] - self._cost) / width)

    def at_rung(self, rung: int) -> tuple[float, float, float]:
        """Return the same for a step of the ladder."""
        if rung not in self._sides:
            self._sides[rung] = self.at_step(_LADDER[rung])
        return self._sides[rung]

    def slope(self, rung: int, noise: float, target: float) -> _Slope:
        """Return the slope at a step and a bound of its error, by comparison with the next larger step."""
        _, coarse_left, coarse_right = self.at_rung(rung - 1)
        width, left, right = self.at_rung(rung)
        value, bend, coarse_bend = (left + right) / 2, abs(right - left), abs(coarse_right - coarse_left)
        kink = bend > target and bend > coarse_bend / 2 + 6 * noise / width
        error = abs(value - (coarse_left + coarse_right) / 2) / 3 + 2 * noise / width + (bend / 2 if kink else 0.0)
        slack = max(abs(left - coarse_left), abs(right - coarse_right)) + 4 * noise / width  # one-sided: off by h/2 J″
        return _Slope(value, error, _LADDER[rung], min(left, right) - slack, max(left, right) + slack, kink)


def _best_slope(line: _Line, start: int, noise: float, target: float) -> tuple[_Slope, int]:
    """Return the slope of the least error, and its place on the ladder, looked for from a place on."""
    best, place = line.slope(start, noise, target), start
    for rung in range(start + 1, len(_LADDER)):  # smaller steps: less curvature and fewer kinks
        if best.error <= target or (not best.kink and line.at_rung(place)[0] * best.error < 4 * noise):
            break
        found = line.slope(rung, noise, target)
        if found.error < best.error:
            best, place = found, rung
    for rung in range(start - 1, 0, -1):  # larger steps: less rounding
        if place != rung + 1 or best.kink or best.error <= target:
            break
        found = line.slope(rung, noise, target)
        if found.error < best.error:
            best, place = found, rung
    return best, place


def _noise_of(objective: Objective, parameters: Parameters, random: np.random.Generator) -> float:
    """Return the standard deviation of the rounding error of a cost.

    Differences of order k of costs at neighbouring points are free of all but noise, which they amplify by
    ``(2k)! / (k!)²`` in variance (J. Moré and S. Wild, "Estimating computational noise", SIAM Journal on Scientific
    Computing 33, 2011).
    """
    directions = {name: random.standard_normal(values.shape) for name, values in parameters.items()}
    costs = np.array(
        [
            objective.evaluate({name: values + n * _NEAR * directions[name] for name, values in parameters.items()})[0]
            for n in range(8)
        ]
    )
    found = [math.sqrt(float(np.mean(np.diff(costs, k) ** 2)) / math.comb(2 * k, k)) for k in (3, 4, 5)]
    return max(*found, float(np.finfo(np.float64).eps) * float(np.abs(costs).max()) / 2)


def compare_gradients(
    objective: Objective,
    *,
    step: float | None = None,
    tolerance: float = 1e-7,
    max_coordinates: int | None = 50,
    random_state: RandomState = 0,
    caller: str = "compare_gradients",
) -> GradientReport:
    """Compare the gradient of any objective with central differences of its cost.

    Parameters
    ----------
    objective : Objective
        Parameters and the function.
    step : float, optional
        One step for all differences, relative to 1 or the parameter, whichever is larger; the tolerance is then the
        only limit, and kinks are not recognised. By default each coordinate has the step of the least error.
    tolerance : float, default 1e-7
        The upper limit of ε. Where the differences themselves carry larger errors, which are estimated, the limit of
        the block is twice these; it passes below a limit of 1e-3 only, unless its gradient is less than 1e-6 of that of
        all blocks.
    max_coordinates : int or None, default 50
        Number of coordinates of each array to check, drawn at random; None: all. Each takes four evaluations, and up to
        16 where curvature, rounding or kinks are large.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Draws the coordinates.
    caller : str
        Named in error messages.

    Returns
    -------
    GradientReport

    Raises
    ------
    ValueError
        If a number is not as described, or gradients do not fit the parameters.

    Notes
    -----
    A difference of step h is off by h²/6 times the third derivative (curvature) and by the noise of the cost over h
    (rounding). The noise is measured; of the steps 2⁻⁸, 2⁻¹⁰, ..., 2⁻²² that with the smallest sum of both is taken,
    curvature being seen in the change from one step to the next. Where the slope jumps, at kinks of ReLU and its
    relatives, of clipping and of hinges, second differences over h do not fall with h: steps become smaller until they
    do, and if none is small enough, any slope between the two one-sided ones is right.

    References
    ----------
    The relative error in this form is the one customary in teaching, for example in A. Ng's course on machine learning.
    """
    if step is not None and not (math.isfinite(step) and step > 0):
        raise ValueError(f"{caller}: step must be a finite number above 0; got {step!r}")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"{caller}: tolerance must be a finite number above 0; got {tolerance!r}")
    if max_coordinates is not None and max_coordinates < 1:
        raise ValueError(f"{caller}: max_coordinates must be at least 1 or None; got {max_coordinates!r}")
    random = np.random.default_rng(seed_from(random_state, caller))
    parameters = {name: np.array(values, np.float64) for name, values in objective.parameters.items()}
    cost, given = objective.evaluate(parameters)
    gradients = {name: np.array(given[name], np.float64) for name in parameters}
    for name, values in parameters.items():
        if gradients[name].shape != values.shape:
            raise ValueError(
                f"{caller}: the gradient of {name} must have shape {values.shape}; got {gradients[name].shape}"
            )
    chosen = {
        name: np.sort(random.choice(values.size, min(values.size, max_coordinates or values.size), replace=False))
        for name, values in parameters.items()
        if values.size
    }
    if not chosen:
        raise ValueError(f"{caller}: the objective must have parameters; got none")
    noise = _noise_of(objective, parameters, random) if step is None else 0.0
    analytic = {name: gradients[name].ravel()[coordinates] for name, coordinates in chosen.items()}
    typical = _root_mean_square(np.concatenate(list(analytic.values())))
    slopes: dict[str, list[_Slope]] = {}
    for name, coordinates in chosen.items():
        target = tolerance / 4 * max(_root_mean_square(analytic[name]), _LEAST_SHARE * typical)
        slopes[name], rung = [], _FIRST
        for at in coordinates:
            line = _Line(objective, parameters, name, int(at), float(cost))
            if step is None:
                slope, place = _best_slope(line, rung, noise, target)
                rung = rung if slope.kink else place
            else:
                _, left, right = line.at_step(step)
                slope = _Slope((left + right) / 2, 0.0, step, left, right, kink=False)
            slopes[name].append(slope)
    return _report(parameters, chosen, analytic, slopes, tolerance)


def _report(
    parameters: Parameters,
    chosen: Mapping[str, NDArray[np.int64]],
    analytic: Mapping[str, NDArray[np.float64]],
    slopes: Mapping[str, list[_Slope]],
    tolerance: float,
) -> GradientReport:
    """Return the comparison of derivatives with the measured ones."""
    numeric = {
        name: np.array(
            [
                np.clip(own, one.low, one.high) if one.kink else one.value
                for own, one in zip(analytic[name], found, strict=True)
            ]
        )
        for name, found in slopes.items()
    }
    sizes = {name: float(np.linalg.norm(analytic[name]) + np.linalg.norm(numeric[name])) for name in chosen}
    total = math.hypot(*sizes.values())
    blocks = []
    for name, coordinates in chosen.items():
        apart = np.abs(analytic[name] - numeric[name])
        size, distance, worst = sizes[name], float(np.linalg.norm(apart)), int(apart.argmax())
        errors = 2 * float(np.linalg.norm([0.0 if one.kink else one.error for one in slopes[name]]))
        limit = max(tolerance, errors / size) if size > 0 else tolerance
        resolved = limit <= _COARSEST or size <= _NEGLIGIBLE * total
        epsilon = distance / size if size > 0 else 0.0
        blocks.append(
            BlockCheck(
                name,
                epsilon,
                limit,
                epsilon < limit and resolved,
                float(np.median([one.step for one in slopes[name]])),
                int(coordinates.size),
                sum(one.kink for one in slopes[name]),
                parameters[name].size,
                tuple(int(i) for i in np.unravel_index(coordinates[worst], parameters[name].shape)),
                float(analytic[name][worst]),
                float(numeric[name][worst]),
            )
        )
    ours, theirs = (np.concatenate([each[name] for name in chosen]) for each in (analytic, numeric))
    scale = float(np.linalg.norm(ours) + np.linalg.norm(theirs))
    return GradientReport(tuple(blocks), float(np.linalg.norm(ours - theirs)) / scale if scale > 0 else 0.0, tolerance)


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return math.sqrt(float(np.mean(values**2)))


def check_gradients(
    model: HasObjective,
    X: Any,
    y: ArrayLike | None = None,
    *,
    user_features: Any = None,
    item_features: Any = None,
    step: float | None = None,
    tolerance: float = 1e-7,
    max_coordinates: int | None = 50,
    random_state: RandomState = 0,
) -> GradientReport:
    """Check the gradients of a model on ratings, in float64, on the kernels that train it in float32.

    Parameters
    ----------
    model : estimator
        A model trained by gradients, such as :class:`fastcf.MatrixFactorization`. Its constructor's parameters count;
        it need not be fitted and stays as it is. The check is made at random parameters: at an optimum gradients
        vanish and a check says nothing.
    X, y
        Ratings as for ``fit``. A few thousand will do: cost grows with their number times that of the coordinates.
    user_features, item_features
        As for the model's ``fit``. Without them a :class:`fastcf.TwoTower` is checked on ids alone, and a
        :class:`fastcf.UserPerceptron` on random features.
    step, tolerance, max_coordinates
        As for :func:`compare_gradients`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Draws parameters and coordinates.

    Returns
    -------
    GradientReport
        Per array of parameters the relative error ε, the worst coordinate, and the verdict; and ε of all.
        Deterministic.

    Raises
    ------
    TypeError
        If the model is not trained by gradients.
    ValueError
        If ratings or a number are not as described, or the model takes no such features.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(50, 40, 500, random_state=0)
    >>> report = fastcf.check_gradients(fastcf.MatrixFactorization(4), ratings)
    >>> report.passed
    True
    >>> [block.name for block in report.blocks]
    ['user_factors', 'item_factors', 'user_bias', 'item_bias']
    """
    caller = "check_gradients"
    if not hasattr(model, "objective"):
        raise TypeError(f"{caller}: model must be trained by gradients; got {type(model).__name__}")
    features = {"user_features": user_features, "item_features": item_features}
    features = {name: table for name, table in features.items() if table is not None}
    taken = inspect.signature(model.objective).parameters
    for name in features:
        if name not in taken:
            raise ValueError(f"{caller}: {name} must be None for {type(model).__name__}, which has none; got a table")
    seed = seed_from(random_state, caller)
    objective = model.objective(as_ratings(X, y, caller=caller), seed, **features)
    return compare_gradients(
        objective,
        step=step,
        tolerance=tolerance,
        max_coordinates=max_coordinates,
        random_state=seed,
        caller=caller,
    )
