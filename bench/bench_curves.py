"""Time to error: test RMSE against seconds of the processor, ours by defaults and peers at their best settings.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python bench/bench_curves.py FOLDER/SET [--only NAME...] [--picture FILE]

LIBMF, Surprise (SVD), cmfrec (CMF) and myFM (one-hot ids; and Bayesian SVD++, with the positions of ratings too) are
first searched over the grid below: each setting is fitted to nine tenths of the training rows and judged on the last.
The best one of each is then fitted to all training rows for growing numbers of iterations, and judged on the test rows
of bench_accuracy.py. Ours are the defaults, searched hyperparameters included, judged after epochs by a callback whose
own time is subtracted. One thread each, one run after another in one process; seconds of the processor from arrays of
rows to the fitted model, so that other programs disturb them less than seconds of the clock.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

import fastcf
from bench_accuracy import split
from bench_sgd import Libmf, triples
from common import RESULTS, write_json
from fastcf.callbacks import Callback
from fastcf.data import read_log

Curve = list[tuple[float, float]]  # (seconds of the processor, RMSE)


class Rows(NamedTuple):
    """Training ratings, and held-out ones as arrays of row numbers; ids unknown in training have rows as well."""

    train: fastcf.Ratings
    users: NDArray[np.int32]  # of the held-out ratings
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    n_users: int
    n_items: int

    def rmse(self, predicted: Any) -> float:
        """Return the error of predictions, limited to the range of the training ratings."""
        return fastcf.metrics.rmse(self.values, np.clip(predicted, *self.train.rating_range))


def rows_of(train: fastcf.Ratings, users: Any, items: Any, values: Any) -> Rows:
    """Number the ids that only held-out ratings have after those of the training."""

    def numbered(known: NDArray[np.int32], asked: Any) -> NDArray[np.int32]:
        new = np.unique(np.asarray(asked)[known < 0], return_inverse=True)[1]
        known = known.copy()
        known[known < 0] = new + first
        return known

    first = train.n_users
    user_rows = numbered(train.users.rows(users), users)
    first = train.n_items
    item_rows = numbered(train.items.rows(items), items)
    sizes = max(train.n_users, user_rows.max() + 1), max(train.n_items, item_rows.max() + 1)
    return Rows(train, user_rows, item_rows, np.asarray(values, np.float32), *map(int, sizes))


# ---------------------------------------------------------------------------------------------------------------
# Peers: a grid of settings, the numbers of iterations of a curve, and a function that runs one
# ---------------------------------------------------------------------------------------------------------------


class Peer(NamedTuple):
    """A library's model."""

    grid: dict[str, tuple[Any, ...]]
    steps: tuple[int, ...]
    run: Callable[[Rows, dict[str, Any], int], Curve]  # of `steps` up to that many iterations, or the last alone


def timed(fit: Callable[[], Any], predict: Callable[[Any], Any], rows: Rows) -> tuple[float, float]:
    """Return the seconds of a fit and its error."""
    start = time.process_time()
    model = fit()
    return time.process_time() - start, rows.rmse(predict(model))


def libmf(rows: Rows, options: dict[str, Any], iterations: int) -> Curve:
    """LIBMF without biases, as it is; the error after each iteration is its own, of unknown ids as well."""
    model = Libmf(options["k"], 1, options["reg"], options["rate"])
    data = triples(rows.train)
    held_out = np.stack([rows.users, rows.items, rows.values], axis=1).astype(np.float32)
    errors = model.curve(data, held_out, iterations)
    start = time.process_time()
    model.seconds(data, iterations)
    each = (time.process_time() - start) / iterations
    return [((n + 1) * each, error) for n, error in enumerate(errors)]


def surprise(rows: Rows, options: dict[str, Any], iterations: int) -> Curve:
    """Surprise's SVD, biases included."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": rows.train.row_of_entry(), "item": rows.train.indices, "rating": rows.train.values})
    data = Dataset.load_from_df(frame, Reader(rating_scale=rows.train.rating_range)).build_full_trainset()

    def fit() -> Any:
        return SVD(
            n_factors=options["k"], n_epochs=iterations, reg_all=options["reg"], lr_all=options["rate"], random_state=0
        ).fit(data)

    def predict(model: Any) -> Any:
        return [model.predict(user, item).est for user, item in zip(rows.users, rows.items, strict=True)]

    return [timed(fit, predict, rows)]


def cmfrec(rows: Rows, options: dict[str, Any], iterations: int) -> Curve:
    """Alternating least squares with biases; ``implicit``: fed with which entries exist, too."""
    from cmfrec import CMF

    train = rows.train
    matrix = scipy.sparse.coo_matrix(
        (train.values, (train.row_of_entry(), train.indices)), shape=(train.n_users, train.n_items)
    )

    def fit() -> Any:
        model = CMF(
            k=options["k"], lambda_=options["reg"], niter=iterations, nthreads=1, use_cg=False, finalize_chol=False,
            scale_lam=options["scaled"], add_implicit_features=options["implicit"], verbose=False, random_state=0,
        )  # fmt: skip
        return model.fit(matrix)

    def predict(model: Any) -> Any:
        known = (rows.users < train.n_users) & (rows.items < train.n_items)
        found = np.full(rows.values.size, train.mean)
        found[known] = model.predict(rows.users[known], rows.items[known])
        return found

    return [timed(fit, predict, rows)]


def one_hot(rows: Rows, users: Any, items: Any) -> Any:
    """Return pairs as rows of two ones."""
    n = users.size
    columns = np.stack([users, rows.n_users + items], axis=1).ravel()
    return scipy.sparse.csr_matrix(
        (np.ones(2 * n), columns, np.arange(0, 2 * n + 1, 2)), shape=(n, rows.n_users + rows.n_items)
    )


def myfm(rows: Rows, options: dict[str, Any], iterations: int) -> Curve:
    """Factorisation machine by Gibbs sampling; ``positions``: Bayesian SVD++, with the positions of ratings."""
    from myfm import MyFMRegressor, RelationBlock

    train = rows.train
    blocks: tuple[list[Any], list[Any]] = ([], [])
    if options["positions"]:
        rated = scipy.sparse.csr_matrix(
            (np.ones(train.nnz), train.indices, train.indptr), shape=(train.n_users, train.n_items)
        )
        rated.resize(rows.n_users, rows.n_items)

        def described(seen: Any) -> Any:
            counts = np.maximum(np.diff(seen.indptr), 1)
            shares = scipy.sparse.diags(1 / np.sqrt(counts)) @ seen
            return scipy.sparse.hstack([scipy.sparse.identity(seen.shape[0]), shares], format="csr")

        sides = described(rated), described(rated.T.tocsr())
        for of, users, items in ((0, train.row_of_entry(), train.indices), (1, rows.users, rows.items)):
            for side, index in zip(sides, (users, items), strict=True):
                blocks[of].append(RelationBlock(index.astype(np.int64), side))
        groups = [rows.n_users, rows.n_items, rows.n_items, rows.n_users]
        inputs: list[Any] = [scipy.sparse.csr_matrix((n, 0)) for n in (train.nnz, rows.values.size)]
    else:
        groups = [rows.n_users, rows.n_items]
        inputs = [one_hot(rows, train.row_of_entry(), train.indices), one_hot(rows, rows.users, rows.items)]

    def fit() -> Any:
        model = MyFMRegressor(rank=options["k"], random_seed=0)
        return model.fit(
            inputs[0], train.values.astype(np.float64), blocks[0], n_iter=iterations, n_kept_samples=iterations,
            group_shapes=groups,
        )  # fmt: skip

    return [timed(fit, lambda model: model.predict(inputs[1], blocks[1]), rows)]


PEERS = {
    "LIBMF": Peer({"k": (16, 64), "reg": (0.02, 0.05, 0.1, 0.2), "rate": (0.1,)}, (40,), libmf),
    "Surprise SVD": Peer(
        {"k": (20, 100), "reg": (0.02, 0.05, 0.1), "rate": (0.005, 0.01)}, (2, 5, 10, 20, 40), surprise
    ),
    "cmfrec": Peer(
        {"k": (10, 40), "reg": (3.0, 8.0, 20.0, 50.0), "scaled": (False,), "implicit": (False, True)},
        (1, 2, 4, 8, 15),
        cmfrec,
    ),
    "myFM": Peer({"k": (8, 16, 32), "positions": (False,)}, (10, 25, 50, 100, 200), myfm),
    "myFM, Bayesian SVD++": Peer({"k": (8, 16), "positions": (True,)}, (10, 25, 50, 100, 200), myfm),
}


def settings(grid: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def of_peer(peer: Peer, fold: Rows, rows: Rows, searched_steps: int | None) -> tuple[dict[str, Any], Curve]:
    """Return a peer's best settings on the fold, and the curve of these."""
    most = peer.steps[-1] if searched_steps is None else searched_steps
    best = min(settings(peer.grid), key=lambda options: min(error for _, error in peer.run(fold, options, most)))
    curve: Curve = []
    for iterations in peer.steps:
        curve += peer.run(rows, best, iterations)
    return best, curve


# ---------------------------------------------------------------------------------------------------------------
# Ours
# ---------------------------------------------------------------------------------------------------------------


class Watch(Callback):
    """Records the error of the model at hand, and the seconds until then without its own."""

    def __init__(self, rows: Rows, every: int) -> None:
        self.rows, self.every, self.curve = rows, every, Curve()
        self.start, self.own = time.process_time(), 0.0

    def on_epoch_end(self, view: Any, record: Any) -> None:
        now = time.process_time()
        if record["epoch"] % self.every == 0:
            self.look(view, now)
            self.own += time.process_time() - now

    def look(self, model: Any, now: float) -> None:
        users, items = (
            np.array([*known.tolist(), -1 if known.dtype.kind in "iu" else ""], object)[np.minimum(asked, known.size)]
            for known, asked in (
                (model.users_.ids, self.rows.users),
                (model.items_.ids, self.rows.items),
            )
        )
        error = self.rows.rmse(model.predict(np.column_stack([users, items])))
        self.curve.append((now - self.start - self.own, error))


OURS: dict[str, tuple[Callable[[], Any], int]] = {
    "fastcf sgd": (lambda: fastcf.MatrixFactorization(solver="sgd", n_threads=1, random_state=0), 1),
    "fastcf als": (lambda: fastcf.MatrixFactorization(solver="als", n_threads=1, random_state=0), 1),
    "fastcf bayes": (lambda: fastcf.MatrixFactorization(solver="bayes", n_threads=1, random_state=0), 10),
    "fastcf autoencoder": (lambda: fastcf.Autoencoder(n_threads=1, random_state=0), 2),
}


def of_ours(make: Callable[[], Any], every: int, rows: Rows) -> Curve:
    """Return the errors of a model of ours while it is trained, and at its end."""
    watch = Watch(rows, every)
    model = make().fit(rows.train, callbacks=watch)
    now = time.process_time()
    watch.look(model, now)
    return watch.curve


def draw(name: str, curves: dict[str, Curve], file: Path) -> None:
    """Draw the best error so far against seconds, one line each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(8.5, 4.2), layout="constrained")
    styles = itertools.cycle(["-", "--"])
    finals = []
    for number, (label, curve) in enumerate(curves.items()):
        seconds, errors = np.array(curve).T
        order = np.argsort(seconds)
        best = np.minimum.accumulate(errors[order])
        finals.append(best[-1])
        ours = label.startswith("fastcf")
        ax.plot(seconds[order], best, color=f"C{number}", linestyle="-" if ours else next(styles), label=label,
                linewidth=2.2 if ours else 1.4, drawstyle="steps-post" if len(curve) > 8 else "default")  # fmt: skip
        ax.plot(seconds[order][-1], best[-1], "o", color=f"C{number}", markersize=4)
    low, high = min(finals), max(finals)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.8 * (high - low))
    ax.set(xscale="log", xlabel="seconds of the processor, one thread", ylabel="test RMSE, the best so far", title=name)
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings")
    parser.add_argument(
        "--only", nargs="+", choices=[*OURS, *PEERS], help="measure these alone, and keep the others of the last run"
    )
    parser.add_argument("--picture", type=Path, help="draw the curves to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    name = arguments.folder.resolve().name
    train, test = split(read_log(arguments.folder))
    ratings = train.to_ratings(duplicates="last")
    rows = rows_of(ratings, test.users, test.items, test.ratings)
    inner, held_out = fastcf.data.train_test_split(ratings, 0.1, random_state=0)
    users, items, values = held_out.to_coo()
    fold = rows_of(inner, users, items, values)
    wanted = arguments.only or [*OURS, *PEERS]
    earlier = RESULTS / f"curves-{name}.json"
    kept = json.loads(earlier.read_text(encoding="utf-8")) if arguments.only and earlier.exists() else {}
    curves: dict[str, Curve] = kept.get("curves", {})
    found: dict[str, Any] = kept.get("settings", {})
    for label in wanted:
        if label in OURS:
            curves[label] = of_ours(*OURS[label], rows)
        else:
            peer = PEERS[label]
            # A Gibbs sampler's settings differ clearly after fewer draws than a curve has.
            found[label], curves[label] = of_peer(peer, fold, rows, 50 if label.startswith("myFM") else None)
        seconds, errors = np.array(curves[label]).T
        best = int(errors.argmin())
        print(
            f"{name}  {label:27}  best {errors[best]:.4f} after {seconds[best]:8.2f} s   {found.get(label, '')}",
            flush=True,
        )
    result = {"curves": curves, "settings": found, "load": os.getloadavg()}
    write_json(f"curves-{name}", result)
    if arguments.picture is not None:
        draw(f"{name}: time to error", curves, arguments.picture)


if __name__ == "__main__":
    main()
