"""Runs the fits of a search, in one thread or several, and enters each in the journal when it ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import joblib
from tqdm.auto import tqdm

from fastcf._backend import resolve_device, single_threaded_blas
from fastcf._threads import get_num_threads
from fastcf.metrics import Scorer
from fastcf.model_selection.candidates import Candidate, described, with_parameters
from fastcf.model_selection.fits import Bars, Fit, Outcome
from fastcf.model_selection.folds import Fold
from fastcf.model_selection.journal import Journal

__all__ = ["Job", "Progress", "Runner"]


@dataclass(frozen=True)
class Job:
    """A fit that is wanted: of a candidate, on the fold of this number, with bars where it may be given up."""

    candidate: Candidate
    fold: int
    bars: Bars = ()

    def described(self, caller: str) -> dict[str, Any]:
        """Return JSON values from which the outcome follows, given the search."""
        return {
            "params": described(self.candidate.params, f"{caller}: parameters in a journal"),
            "fold": self.fold,
            "users": self.candidate.users,
            "bars": [[share, bar if math.isfinite(bar) else None] for share, bar in self.bars],
        }


class Progress:
    """A bar over the fits, with the best candidate so far; or a line per fit.

    Parameters
    ----------
    name : str
        What is searched.
    scorer : Scorer
        The measure.
    verbose : {0, 1, 2}
        Silent, a bar, or lines.
    """

    def __init__(self, name: str, scorer: Scorer, verbose: int) -> None:
        self._scorer = scorer
        self._lines = verbose > 1
        self._best = math.nan
        self._bar = tqdm(total=0, desc=name, unit="fit", disable=None if verbose == 1 else True)

    def expect(self, n: int) -> None:
        """Lengthen the bar."""
        self._bar.total = (self._bar.total or 0) + n
        self._bar.refresh()

    def skip(self, n: int) -> None:
        """Count fits that are not needed."""
        self._bar.update(n)

    def done(self, job: Job, outcome: Outcome) -> None:
        """Count a fit."""
        mean = job.candidate.mean
        if math.isnan(self._best) or (mean > self._best if self._scorer.greater_is_better else mean < self._best):
            self._best = mean
        if not math.isnan(self._best):
            self._bar.set_postfix({f"best {self._scorer.name}": f"{self._best:.4g}"}, refresh=False)
        self._bar.update(1)
        if self._lines:
            end = outcome.error or f"{self._scorer.name} {outcome.score:.4g}"
            stopped = "" if outcome.stopped is None else f", stopped after {outcome.stopped:.0%} of the epochs"
            shown = ", ".join(f"{name}={value}" for name, value in job.candidate.params.items())
            print(f"fold {job.fold}  {shown}: {end}{stopped}  ({outcome.fit_seconds:.2f} s)", flush=True)

    def close(self) -> None:
        """End the bar's line."""
        self._bar.close()


@dataclass
class Runner:
    """Runs jobs, several at a time.

    Attributes
    ----------
    estimator : estimator
        What the candidates are settings of.
    folds : sequence of Fold
        All of the ratings.
    scorer : Scorer
        The measure.
    arguments : mapping
        Further arguments of ``fit``.
    seed : int
        Of models that have none, and of shares of the users.
    n_jobs : int or "auto"
        Number of fits at a time.
    raising : bool
        Whether the failure of a fit is raised, or an outcome.
    progress : Progress
        Told of each fit.
    journal : Journal, optional
        Asked for what has been done, and told of each fit.
    caller : str
        Heads messages.
    """

    estimator: Any
    folds: Sequence[Fold]
    scorer: Scorer
    arguments: Mapping[str, Any]
    seed: int
    n_jobs: int | str
    raising: bool
    progress: Progress
    journal: Journal | None
    caller: str
    _parts: dict[float, list[Fold]] = field(default_factory=dict)
    _workers: int = 0  # of n_jobs="auto", once it is known

    def run(self, jobs: Iterable[Job]) -> None:
        """Run the jobs that the journal does not have, and set the outcomes of their candidates."""
        left = [job for job in jobs if not self._known(job)]
        for n, outcome in self._outcomes(left):
            if self.journal is not None:
                self.journal.add(left[n].described(self.caller), outcome)
            self._set(left[n], outcome)

    def _known(self, job: Job) -> bool:
        outcome = None if self.journal is None else self.journal.find(job.described(self.caller))
        if outcome is not None:
            self._set(job, outcome)
        return outcome is not None

    def _set(self, job: Job, outcome: Outcome) -> None:
        job.candidate.outcomes[job.fold] = outcome
        self.progress.done(job, outcome)

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Yield the position of each job and what came of it, in the order in which they end."""
        cores = get_num_threads()
        left = list(range(len(jobs)))
        if self.n_jobs == "auto" and self._workers == 0 and len(left) > 1:
            # Threads inside a fit, or fits side by side? Two fits tell: one with all threads, and one with one.
            seconds = []
            for threads in (cores, 1)[:cores]:
                started = time.perf_counter()
                ended = self._run(left[0], jobs[left.pop(0)], threads)
                seconds.append(time.perf_counter() - started)
                yield ended
            self._workers = cores if self._on_the_cpu() and seconds[-1] < cores * seconds[0] else 1
        workers = (self._workers or 1) if isinstance(self.n_jobs, str) else joblib.effective_n_jobs(self.n_jobs)
        workers = min(workers, max(len(left), 1))
        threads = max(1, cores // workers)
        if workers == 1:
            yield from (self._run(n, jobs[n], threads) for n in left)
        else:
            yield from self._side_by_side(jobs, left, workers, threads)

    def _side_by_side(
        self, jobs: Sequence[Job], left: Sequence[int], workers: int, threads: int
    ) -> Iterator[tuple[int, Outcome]]:
        """Run jobs in threads: native code runs without the interpreter's lock, and nothing is copied."""
        stop = threading.Event()
        # The limit is the process's, and that of the first thread to set it: one around all fits holds in each.
        with single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self._run, n, jobs[n], threads, stop) for n in left]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:  # after Ctrl-C or a failure, trainings end with their epochs
                stop.set()
                pool.shutdown(cancel_futures=True)

    def _on_the_cpu(self) -> bool:
        return resolve_device(getattr(self.estimator, "device", "cpu"), self.caller).device == "cpu"

    def _folds_of(self, users: float) -> Sequence[Fold]:
        """Return the folds of a share of the users, made once."""
        if users not in self._parts:
            self._parts[users] = [fold.of_users(users, self.seed) for fold in self.folds]
        return self._parts[users]

    def _run(self, n: int, job: Job, n_threads: int, stop: threading.Event | None = None) -> tuple[int, Outcome]:
        fit = Fit(
            with_parameters(self.estimator, job.candidate.params),
            self._folds_of(job.candidate.users)[job.fold],
            self.scorer,
            self.arguments,
            job.bars,
            stop,
        )
        started = time.perf_counter()
        try:
            return n, fit.run({"random_state": self.seed, "n_threads": n_threads})
        except Exception as error:
            if self.raising:
                raise
            return n, Outcome(math.nan, time.perf_counter() - started, 0.0, error=f"{type(error).__name__}: {error}")
