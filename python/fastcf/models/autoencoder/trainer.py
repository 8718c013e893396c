"""Training of autoencoders: the loop's trainer around the native one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastcf._backend import single_threaded_blas
from fastcf.models.autoencoder.costs import ChoiceRows, choices_held_out, choices_measured
from fastcf.models.autoencoder.encoder import Network, NetworkFolding, network_scores
from fastcf.models.autoencoder.network import Parameters, draw_parameters, hidden_values
from fastcf.models.autoencoder.problem import NetworkProblem
from fastcf.scores import State
from fastcf.training.samples import entries_of_rows, n_measured, total_weight, whole_rows

__all__ = ["NetworkTrainer"]

_UNSEEN = 0.5  # choices that an item has beside its own, or the logarithm of its popularity might be infinite


class _Sample(NamedTuple):
    """Training entries of whole rows, over which the cost is measured; ``rows`` numbers the row of each entry."""

    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    offsets: NDArray[np.float32] | None
    weights: NDArray[np.float32] | None


class NetworkTrainer:
    """Trains the network of a problem by batches of rows.

    Parameters
    ----------
    problem : NetworkProblem
        The typed problem.
    """

    restorable = True

    def __init__(self, problem: NetworkProblem) -> None:
        self._problem = problem
        held_out = problem.held_out()
        self._held_out_weight = 0.0 if held_out is None else total_weight(held_out.values.size, held_out.weights)
        self._rows = rows = problem.rows
        scale, logistic, choices = problem.scale, problem.targets.labels, problem.targets.choices
        self._measured = choices_measured(rows, problem.seed) if choices else None
        self._held_out = None
        if choices and problem.validation is not None:
            self._held_out = choices_held_out(problem.validation, problem.ratings)
        self.validated = held_out is not None or self._held_out is not None
        self._inputs = inputs = scale.normalised(rows.csr, scale.rows)
        targets = rows.csr[2] if logistic or choices else inputs
        offsets = scale.entry_offsets(rows.csr, scale.rows) if logistic else None
        parameters = self._first_parameters()
        low, high = problem.rating_range
        self._sample = None if choices else self._sampled(targets, offsets)
        with single_threaded_blas():
            self._native = problem.backend.module.AutoencoderTrainer(
                *rows.structure,
                inputs,
                targets,
                rows.n_columns,
                weights=rows.weights,
                offsets=offsets,
                input_dropout=problem.input_dropout,
                dense_refeeding=problem.dense_refeeding,
                weight_decay=problem.decay,
                penalised_bias=problem.penalised_bias,
                output_rate=problem.output_rate,
                batch_size=problem.batch_size,
                lowest=low,
                highest=high,
                **problem.optimizer.constants.options,
                **problem.native_options,
            )
            self._native.set_parameters(parameters)
            if held_out is not None:
                self._native.set_validation(*held_out, scale=scale.gain)
        self._scratch = parameters

    def _first_parameters(self) -> Parameters:
        """Draw the weights to start from; columns without ratings have none."""
        problem, rows, inputs = self._problem, self._rows, self._inputs
        filled = int(np.count_nonzero(np.diff(rows.csr[0])))
        squares = float(np.vdot(inputs, inputs)) / max(filled, 1)
        parameters = draw_parameters(
            problem.architecture, rows.n_columns, problem.init, squares, problem.seed, problem.compute
        )
        unrated = np.bincount(rows.csr[1], minlength=rows.n_columns) == 0
        for table in (parameters.input_weights, parameters.output_weights, parameters.rated_weights):
            if table is not None:
                table[unrated] = 0
        if problem.targets.choices:  # for an input of nothing, outputs are the logarithms of popularity
            popularity = np.bincount(rows.csr[1], rows.csr[2], rows.n_columns) + _UNSEEN
            parameters.output_bias[:] = np.log(popularity / popularity.sum())
        return parameters

    def _sampled(self, targets: NDArray[np.float32], offsets: NDArray[np.float32] | None) -> _Sample:
        indptr, columns = self._rows.structure
        chosen = whole_rows(indptr, n_measured(int(indptr[-1])), self._problem.seed)
        entries = entries_of_rows(indptr, chosen)
        counts = np.diff(indptr)[chosen]
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.repeat(np.arange(chosen.size, dtype=np.int32), counts)
        optional = (None if array is None else array[entries] for array in (offsets, self._rows.weights))
        return _Sample(ends, columns[entries], rows, self._inputs[entries], targets[entries], *optional)

    def run_epoch(self, epoch: int) -> float:
        """Run an epoch; return its step size."""
        problem = self._problem
        rate = problem.optimizer.rate_at(problem.learning_rate, epoch, problem.n_epochs)
        with single_threaded_blas():
            self._native.epoch(rate)
        return rate

    def measure(self) -> dict[str, Any]:
        """Return the objective and the errors at the current parameters, nothing dropped."""
        if self._measured is not None:
            return self._measure_choices(self._measured)
        labels, error = self._problem.targets.labels, self._problem.targets.error
        measured = None
        with single_threaded_blas(), np.errstate(all="ignore"):
            self._native.get_parameters(self._scratch)
            loss = self._loss(self._scratch)
            cost = loss + self._native.penalty()
            if self.validated and labels:
                measured = self._native.validation_log_loss() / self._held_out_weight
            elif self.validated:
                measured = math.sqrt(self._native.validation_squared_error() / self._held_out_weight)
        learnt = loss / 2 if labels else self._problem.scale.unit * math.sqrt(loss)
        return {"cost": cost, f"train_{error}": learnt, f"validation_{error}": measured}

    def _measure_choices(self, measured: ChoiceRows) -> dict[str, Any]:
        """Return the objective by row, and minus the mean logarithm of the probability of a choice."""
        held_out, n_columns = self._held_out, self._rows.n_columns
        with single_threaded_blas(), np.errstate(all="ignore"):
            total = measured.cost(self._native, n_columns)
            cost = total / max(measured.n_chosen(), 1) + self._native.penalty()
            outside = None if held_out is None else held_out.cost(self._native, n_columns) / held_out.total()
        return {"cost": cost, "train_log_loss": total / (measured.total() or 1.0), "validation_log_loss": outside}

    def _loss(self, parameters: Parameters) -> float:
        """Return the mean cost of training ratings, without the penalty: over all, or over the sample."""
        assert self._sample is not None
        sample, architecture, compute = self._sample, self._problem.architecture, self._problem.compute
        hidden = hidden_values((sample.indptr, sample.columns), sample.inputs, parameters, architecture, compute)
        none = np.zeros(len(hidden), np.float32)
        outputs = compute.native.predict_pairs(
            sample.rows,
            sample.columns,
            hidden,
            parameters.output_table,
            none,
            parameters.output_bias,
            n_threads=compute.n_threads,
        )
        if architecture.squashes:
            table = outputs.reshape(1, -1)
            compute.native.activate(architecture.output_activation, table, n_threads=compute.n_threads)
        if sample.offsets is None:
            losses = (outputs.astype(np.float64) - sample.targets) ** 2
        else:
            z = outputs.astype(np.float64) + sample.offsets
            losses = 2 * (np.logaddexp(0, z) - sample.targets * z)
        if sample.weights is None:
            return float(losses.mean())
        total = float(sample.weights.sum(dtype=np.float64))
        return float(sample.weights @ losses) / total if total else 0.0

    def save_best(self) -> None:
        """Save the current parameters."""
        self._native.save_best()

    def restore_best(self) -> None:
        """Restore the parameters saved last."""
        self._native.restore_best()

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of the parameters and of the optimiser's state."""
        arrays: dict[str, NDArray[Any]] = self._native.get_state()
        return arrays

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the result of :meth:`arrays`."""
        self._native.set_state(dict(arrays))

    def finish(self, history: tuple[dict[str, Any], ...], n_epochs: int) -> State:
        """Return the state of a model with copies of the current parameters."""
        problem = self._problem
        with single_threaded_blas():
            parameters = self._scratch.empty_like()
            self._native.get_parameters(parameters)
            network = Network.of(
                problem.architecture,
                problem.orientation,
                problem.scale,
                parameters,
                problem.compute,
                mean_rating=problem.mean_rating,
                reg=problem.reg,
                learning_rate=problem.learning_rate,
                batch_size=problem.batch_size,
                input_dropout=problem.mean_input_dropout,
            )
            scores = network_scores(network, self._rows.structure, self._inputs, problem.compute)
        return State.of(
            problem.ratings,
            problem.backend,
            scores,
            rating_range=problem.rating_range,
            targets=problem.targets,
            history=history,
            n_epochs=n_epochs,
            learnt=network,
            folding=NetworkFolding(problem.orientation),
        )
