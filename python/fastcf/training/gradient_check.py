"""Analytic gradients against central differences, in float64, on the code that trains."""

from __future__ import annotations

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


class Objective(NamedTuple):
    """The objective of a model, as a function of its parameters.

    Attributes
    ----------
    parameters : dict of str to ndarray of float64
        The point to check at.
    evaluate : callable
        Takes such a dict; returns the cost and a dict of its gradients, computed natively.
    step : float, default 1e-4
        The step of the differences that suits it.
    """

    parameters: Parameters
    evaluate: Evaluate
    step: float = 1e-4


class HasObjective(Protocol):
    """What :func:`check_gradients` needs of a model."""

    def objective(self, ratings: Ratings, seed: int) -> Objective: ...


class BlockCheck(NamedTuple):
    """The result for one array of parameters.

    Attributes
    ----------
    name : str
        Its name.
    epsilon : float
        ``‖G − G′‖ / (‖G‖ + ‖G′‖)`` over the coordinates checked, G being the analytic gradient and G′ the differences;
        0 where both are 0.
    checked, size : int
        Number of coordinates checked, and of all.
    worst : tuple of int
        The coordinate at which the two differ most.
    analytic, numeric : float
        Both derivatives there.
    """

    name: str
    epsilon: float
    checked: int
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
    tolerance : float
        The upper limit of every ε.
    step : float
        The step of the differences.
    """

    blocks: tuple[BlockCheck, ...]
    tolerance: float
    step: float

    @property
    def passed(self) -> bool:
        """Whether every block's ε is below the tolerance."""
        return all(block.epsilon < self.tolerance for block in self.blocks)

    def __str__(self) -> str:
        width = max(len(block.name) for block in self.blocks)
        lines = [f"gradient check, central differences with step {self.step:g}, tolerance {self.tolerance:g}"]
        for block in self.blocks:
            verdict = "passed" if block.epsilon < self.tolerance else "FAILED"
            lines.append(
                f"  {block.name:<{width}}  ε = {block.epsilon:8.2e}  {verdict}  ({block.checked:,} of {block.size:,} "
                f"coordinates; worst at {list(block.worst)}: {block.analytic:.8g} analytic, "
                f"{block.numeric:.8g} numeric)"
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
        Relative to 1 or the parameter, whichever is larger; by default the objective's. Differences of a cost J carry
        an error of about 1e-16 J / step from rounding and of step² from curvature (none for quadratic costs): 1e-4
        keeps both small, where 1e-7 would drown the gradient of a large sum in rounding. Networks have smaller sums,
        and units with kinks that a step had better not cross: 1e-5, or 1e-6 with kinks.
    tolerance : float, default 1e-7
        The upper limit of ε.
    max_coordinates : int or None, default 50
        Number of coordinates of each array to check, drawn at random; None: all. Each takes two evaluations.
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

    References
    ----------
    The relative error in this form is the one customary in teaching, for example in A. Ng's course on machine learning.
    """
    step = objective.step if step is None else step
    if not (math.isfinite(step) and step > 0):
        raise ValueError(f"{caller}: step must be a finite number above 0; got {step!r}")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"{caller}: tolerance must be a finite number above 0; got {tolerance!r}")
    if max_coordinates is not None and max_coordinates < 1:
        raise ValueError(f"{caller}: max_coordinates must be at least 1 or None; got {max_coordinates!r}")
    random = np.random.default_rng(seed_from(random_state, caller))
    parameters = {name: np.array(values, np.float64) for name, values in objective.parameters.items()}
    _, gradients = objective.evaluate(parameters)
    blocks = []
    for name, values in parameters.items():
        gradient = np.asarray(gradients[name], np.float64)
        if gradient.shape != values.shape:
            raise ValueError(f"{caller}: the gradient of {name} must have shape {values.shape}; got {gradient.shape}")
        if values.size == 0:
            continue
        coordinates = np.arange(values.size)
        if max_coordinates is not None and max_coordinates < values.size:
            coordinates = np.sort(random.choice(values.size, max_coordinates, replace=False))
        numeric = np.array([_difference(objective, parameters, name, int(at), step) for at in coordinates])
        analytic = gradient.ravel()[coordinates]
        worst = int(np.argmax(np.abs(analytic - numeric)))
        scale = float(np.linalg.norm(analytic) + np.linalg.norm(numeric))
        distance = float(np.linalg.norm(analytic - numeric))
        blocks.append(
            BlockCheck(
                name,
                distance / scale if scale > 0 else distance,
                int(coordinates.size),
                values.size,
                tuple(int(i) for i in np.unravel_index(coordinates[worst], values.shape)),
                float(analytic[worst]),
                float(numeric[worst]),
            )
        )
    if not blocks:
        raise ValueError(f"{caller}: the objective must have parameters; got none")
    return GradientReport(tuple(blocks), tolerance, step)


def _difference(objective: Objective, parameters: Parameters, name: str, at: int, step: float) -> float:
    flat = parameters[name].reshape(-1)
    here = flat[at]
    high, low = here + step * max(1.0, abs(here)), here - step * max(1.0, abs(here))
    costs = []
    for value in (high, low):
        flat[at] = value
        costs.append(objective.evaluate(parameters)[0])
    flat[at] = here
    return float((costs[0] - costs[1]) / (high - low))


def check_gradients(
    model: HasObjective,
    X: Any,
    y: ArrayLike | None = None,
    *,
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
    step, tolerance, max_coordinates
        As for :func:`compare_gradients`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Draws parameters and coordinates.

    Returns
    -------
    GradientReport
        Per array of parameters the relative error ε, the worst coordinate, and the verdict. Deterministic.

    Raises
    ------
    TypeError
        If the model is not trained by gradients.
    ValueError
        If ratings or a number are not as described.

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
    seed = seed_from(random_state, caller)
    objective = model.objective(as_ratings(X, y, caller=caller), seed)
    return compare_gradients(
        objective,
        step=step,
        tolerance=tolerance,
        max_coordinates=max_coordinates,
        random_state=seed,
        caller=caller,
    )
