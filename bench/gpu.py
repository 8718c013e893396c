"""Every CUDA kernel on a GPU: checked against float64 on the host, then timed, beside PyTorch on the same GPU.

    pip install torch            # and optionally implicit, with its CUDA build
    python bench/gpu.py

Builds nothing. Times are medians between CUDA events after a warm-up, with the L2 cache overwritten before each run.
Shares are of the rates that a copy and a float32 matrix product reach in the same run. Training epochs are timed by the
host's clock: each returns a number that only the finished epoch knows. Writes bench/results/gpu.json, in which every
figure stands beside the device, the driver, the date and the commit.

--emulated runs the checks on the emulated GPU at a tiny size, and measures nothing.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import fastcf
from common import write_json
from gpu_networks import autoencoders

Array = np.ndarray


class Sizes(NamedTuple):
    """How large everything is."""

    users: int
    items: int
    ratings: int
    k: int
    queries: int
    catalogue: int
    repeats: int


FULL = Sizes(480_189, 17_770, 100_000_000, 128, 20_000, 1_000_000, 7)  # the Netflix Prize's shape, but for catalogue
TINY = Sizes(60, 50, 900, 16, 40, 700, 1)


class Case(NamedTuple):
    """A kernel at work: what it must move and compute at least, and whether it is right."""

    name: str
    run: Callable[[], Any]
    bytes: float
    flops: float
    check: Callable[[], None]
    peers: dict[str, Callable[[], Any]]


def close(name: str, got: Any, wanted: Any, tolerance: float) -> None:
    """Raise unless two results agree, relative to the largest of them."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    error = np.abs(got - wanted).max(initial=0.0) / max(np.abs(wanted).max(initial=0.0), 1e-30)
    if not error <= tolerance:
        raise SystemExit(
            f"{name}: differs from float64 by {error:.2e} of the largest value; {tolerance:.0e} is allowed"
        )
    print(f"  {name:<44} within {error:.1e} of float64")


class Bench:
    """A backend, its data, and a clock."""

    def __init__(self, module: ModuleType, sizes: Sizes, emulated: bool) -> None:
        self.module, self.sizes, self.emulated = module, sizes, emulated
        self.rng = np.random.default_rng(0)
        if not emulated:
            import torch

            self.torch = torch
            self.flush = torch.empty(512 << 20, dtype=torch.uint8, device="cuda")

    def factors(self, rows: int) -> Array:
        return self.rng.standard_normal((rows, self.sizes.k), dtype=np.float32) * np.float32(self.sizes.k**-0.5)

    def seconds(self, run: Callable[[], Any], repeats: int | None = None) -> float:
        """Return the median time between two events around a call."""
        torch = self.torch
        times = []
        for repeat in range(-2, repeats or self.sizes.repeats):
            self.flush.fill_(repeat & 255)
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()
            if repeat >= 0:
                times.append(start.elapsed_time(end) / 1e3)
        return float(np.median(times))

    def machine(self) -> dict[str, float]:
        """Return the rates of a copy and of a float32 matrix product."""
        torch = self.torch
        torch.backends.cuda.matmul.allow_tf32 = False
        a = torch.empty(1 << 30, dtype=torch.float32, device="cuda")
        b = torch.empty_like(a)
        copy = 2 * a.numel() * 4 / self.seconds(lambda: b.copy_(a))
        n = 8192
        x, y = (torch.randn(n, n, device="cuda") for _ in range(2))
        product = 2 * n**3 / self.seconds(lambda: x @ y)
        print(f"copy {copy / 1e12:.2f} TB/s, float32 product {product / 1e12:.1f} TFLOP/s")
        return {"copy_bytes_per_second": copy, "product_flops_per_second": product}


def predictions(bench: Bench) -> list[Case]:
    """Cases of op predict and of the penalty."""
    s, module = bench.sizes, bench.module
    P, Q = bench.factors(s.users), bench.factors(s.items)
    p, q = module.DeviceArray(P), module.DeviceArray(Q)
    n = min(s.ratings, 20_000_000)
    users = bench.rng.integers(0, s.users, n).astype(np.int32)
    items = bench.rng.integers(0, s.items, n).astype(np.int32)
    y = bench.rng.standard_normal(n).astype(np.float32)
    weights = bench.rng.random(s.users).astype(np.float32)
    some = slice(0, 10_000)
    exact = np.einsum("ek,ek->e", P[users[some]].astype(np.float64), Q[items[some]])

    def check_pairs() -> None:
        close("predict_pairs", module.predict_pairs(users[some], items[some], p, q), exact, 1e-5)

    def check_errors() -> None:
        got = module.evaluate_pairs(users[some], items[some], y[some], p, q)
        close("evaluate_pairs", got[0], ((exact - y[some]) ** 2).sum(), 1e-5)

    def check_block() -> None:
        rows = users[: min(n, 64)]
        close("predict_block", module.predict_block(rows, p, q), P[rows].astype(np.float64) @ Q.T, 1e-5)

    def random() -> Any:
        return module.random_on_device(s.users, s.k, "normal", 1.0, 1)

    def check_random() -> None:
        wanted = importlib.import_module("fastcf._cpu").random(s.users, s.k, "normal", 1.0, 1)
        close("random numbers", random().numpy(), wanted, 1e-6)

    def check_penalty() -> None:
        close("penalty", module.penalty(p, weights), (weights * (P.astype(np.float64) ** 2).sum(1)).sum(), 1e-9)

    pair_bytes = n * (8 * s.k + 12)
    block_rows = users[: min(n, 4_096)]
    return [
        # Row numbers and results travel between host and device in each call: these two include the transfer.
        Case("predict_pairs, with transfer", lambda: module.predict_pairs(users, items, p, q), pair_bytes, 2 * n * s.k,
             check_pairs, {}),
        Case("evaluate_pairs, with transfer", lambda: module.evaluate_pairs(users, items, y, p, q), pair_bytes,
             2 * n * s.k, check_errors, {}),
        Case("predict_block, with transfer", lambda: module.predict_block(block_rows, p, q),
             4.0 * len(block_rows) * s.items, 2.0 * len(block_rows) * s.items * s.k, check_block, {}),
        Case("normal random numbers", random, 4.0 * P.size, 30.0 * P.size, check_random, {}),
        Case("penalty", lambda: module.penalty(p, weights), 4.0 * P.size, 3.0 * P.size, check_penalty, {}),
    ]  # fmt: skip


def retrieval(bench: Bench) -> list[Case]:
    """Cases of top-k and of nearest neighbours: many queries, and one, against a large catalogue."""
    s, module, n = bench.sizes, bench.module, 10
    P, Q = bench.factors(s.queries), bench.factors(s.catalogue)
    p, one, q = module.DeviceArray(P), module.DeviceArray(P[:1]), module.DeviceArray(Q)

    def case(name: str, queries: Any, m: int, storage: str) -> Case:
        def run() -> tuple[Array, Array]:
            found: tuple[Array, Array] = module.topk(queries, q, None, n, storage=storage)
            return found

        def check() -> None:
            stored = [x.astype(storage).astype(np.float64) for x in (P[: min(m, 64)], Q)]
            exact = -np.sort(-(stored[0] @ stored[1].T), axis=1)[:, :n]
            close(name, run()[1][: len(exact)], exact, 1e-5)

        size = 4 if storage == "float32" else 8  # of a number of the items: halves are made first, and then read
        return Case(name, run, size * Q.size, 2.0 * m * Q.size, check, peers(m))

    def peers(m: int) -> dict[str, Callable[[], Any]]:
        if bench.emulated:
            return {}
        users, items = (bench.torch.tensor(x, device="cuda") for x in (P[:m], Q))
        rows = max(1, 2_000_000_000 // len(Q))  # scores of 8 GB at a time
        return {"torch": lambda: [(part @ items.T).topk(n) for part in users.split(rows)]}

    def check_nearest() -> None:
        exact = np.sort(np.linalg.norm(P[:2, None, :].astype(np.float64) - Q[None], axis=2), axis=1)[:, :n]
        close("nearest, euclidean", module.nearest(p, q, n, "euclidean")[1][:2], exact, 1e-4)

    return [
        case("topk, many queries", p, s.queries, "float32"),
        case("topk, many queries, halves", p, s.queries, "float16"),
        case("topk, one query", one, 1, "float32"),
        case("topk, one query, halves", one, 1, "float16"),
        Case("nearest, euclidean", lambda: module.nearest(p, q, n, "euclidean"), 4.0 * Q.size,
             2.0 * s.queries * Q.size, check_nearest, {}),
    ]  # fmt: skip


def rated(bench: Bench) -> tuple[fastcf.Ratings, Array, Array]:
    """Return made-up ratings of the size asked for, and the starting factors."""
    s = bench.sizes
    ratings = fastcf.data.make_ratings(s.users, s.items, s.ratings, random_state=0)
    return ratings, bench.factors(ratings.n_users), bench.factors(ratings.n_items)


def train_error(ratings: fastcf.Ratings, parameters: list[Array], offset: float) -> float:
    """Return the RMSE on the ratings, by the CPU."""
    squared, _, count = importlib.import_module("fastcf._cpu").evaluate_csr(
        ratings.indptr, ratings.indices, ratings.values, *parameters, None, offset
    )
    return float(np.sqrt(squared / count))


def trainer_of(module: ModuleType, name: str, ratings: fastcf.Ratings, k: int, offset: float, **options: Any) -> Any:
    """Return a native trainer."""
    low, high = ratings.rating_range
    return getattr(module, name)(
        ratings.indptr, ratings.indices, ratings.values, ratings.n_items, global_offset=offset, n_factors=k, reg=0.05,
        reg_exponent=1.0, user_bias=True, item_bias=True, user_bias_reg=1.0, item_bias_reg=1.0, lowest=low,
        highest=high, seed=0, **options,
    )  # fmt: skip


def sgd(bench: Bench, ratings: fastcf.Ratings, P: Array, Q: Array) -> list[dict[str, Any]]:
    """Time epochs of SGD in its four kinds, and compare what they learn with the CPU."""
    cpu = importlib.import_module("fastcf._cpu")
    offset = float(ratings.values.mean(dtype=np.float64))
    epochs, rate = 5, 0.02
    kinds = [("float32", True), ("float32", False), ("float16", True), ("float16", False)]
    rows: list[dict[str, Any]] = []
    for module, storage, deterministic in [(cpu, "float32", True), *((bench.module, *kind) for kind in kinds)]:
        options = {"storage": storage, "deterministic": deterministic}
        trainer = trainer_of(module, "SgdTrainer", ratings, bench.sizes.k, offset, **options)
        bias = [np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)]
        parameters = [P.copy(), Q.copy(), *bias]
        trainer.set_parameters(*parameters)
        times = []
        for _ in range(epochs):
            start = time.perf_counter()
            trainer.epoch(rate, rate)
            times.append(time.perf_counter() - start)
        trainer.get_parameters(*parameters)
        rows.append({
            "device": "cpu" if module is cpu else "gpu", **options, "rmse": train_error(ratings, parameters, offset),
            "seconds": times, "updates_per_second": ratings.nnz / float(np.median(times[1:])),
        })  # fmt: skip
        row = rows[-1]
        rate_text = "" if bench.emulated else f"{row['updates_per_second'] / 1e9:8.3f} G updates/s"
        print(f"  sgd {row['device']} {storage} deterministic={deterministic!s:<5} RMSE {row['rmse']:.4f} {rate_text}")
    for row in rows[1:]:
        if abs(row["rmse"] - rows[0]["rmse"]) > (0.05 if bench.emulated else 0.002):
            raise SystemExit(f"sgd: RMSE {row['rmse']:.4f} on the GPU, {rows[0]['rmse']:.4f} on the CPU")
    return rows


def trained_by_gradients(
    bench: Bench,
    ratings: fastcf.Ratings,
    P: Array,
    Q: Array,
    label: str,
    epochs: int,
    rate: float,
    tolerance: float,
    **options: Any,
) -> dict[str, Any]:
    """Time epochs on both devices, and compare what they learn."""
    offset = float(ratings.values.mean(dtype=np.float64))
    result: dict[str, Any] = {}
    parameters = {}
    for name, module in (("cpu", importlib.import_module("fastcf._cpu")), ("gpu", bench.module)):
        trainer = trainer_of(module, "GradientTrainer", ratings, bench.sizes.k, offset, **options)
        bias = [np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)]
        parameters[name] = [P.copy(), Q.copy(), *bias]
        trainer.set_parameters(*parameters[name])
        times = []
        for _ in range(epochs):
            start = time.perf_counter()
            trainer.epoch(rate, rate)
            times.append(time.perf_counter() - start)
        trainer.get_parameters(*parameters[name])
        result[name] = {"seconds": times}
        if not bench.emulated:
            print(f"  {label}, {name}: {np.median(times[1:]):.4f} s per epoch")
    for row, got, wanted in zip(("P", "Q", "b_u", "b_i"), parameters["gpu"], parameters["cpu"], strict=True):
        close(f"{label}, {row}", got, wanted, tolerance)
    return result


def gradient(bench: Bench, ratings: fastcf.Ratings, P: Array, Q: Array) -> dict[str, Any]:
    """Time steps along the full gradient, beside PyTorch's autograd over gathered rows."""
    options = {"optimizer": "gd", "batch_size": 0}
    result = trained_by_gradients(bench, ratings, P, Q, "full gradient", 3, 1e-5, 1e-4, **options)
    if not bench.emulated:
        offset = float(ratings.values.mean(dtype=np.float64))
        result["torch"] = {"seconds": torch_gradient(bench, ratings, P, Q, offset)}
        result["ratio"] = result["torch"]["seconds"] / float(np.median(result["gpu"]["seconds"][1:]))
        print(f"  full gradient: PyTorch {result['ratio']:.1f} times that")
    return result


def minibatches(bench: Bench, ratings: fastcf.Ratings, P: Array, Q: Array) -> dict[str, Any]:
    """Time epochs of a thousand batches, which the host plans while the GPU takes them."""
    size = max(ratings.nnz // 1000, 100)
    options = {"optimizer": "momentum", "decay": 0.9, "batch_size": size}
    return trained_by_gradients(bench, ratings, P, Q, f"mini-batches of {size}", 2, 1e-2, 1e-3, **options)


def biases(bench: Bench, ratings: fastcf.Ratings) -> dict[str, Any]:
    """Time the fit of biases, the ratings' upload included, and compare it with the CPU's."""
    cpu = importlib.import_module("fastcf._cpu")
    result: dict[str, Any] = {}
    found = {}
    for name, module in (("cpu", cpu), ("gpu", bench.module)):
        bias = [np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)]
        start = time.perf_counter()
        fit = module.fit_biases(ratings.indptr, ratings.indices, ratings.values, *bias)
        result[name] = {"seconds": time.perf_counter() - start, "iterations": fit["iterations"]}
        found[name] = bias
        if not bench.emulated:
            print(f"  biases, {name}: {result[name]['seconds']:.4f} s, {fit['iterations']} iterations")
    for label, got, wanted in zip(("b_u", "b_i"), found["gpu"], found["cpu"], strict=True):
        close(f"biases, {label}", got, wanted, 1e-3)
    return result


def als(bench: Bench, ratings: fastcf.Ratings, P: Array, Q: Array) -> list[dict[str, Any]]:
    """Time sweeps of alternating least squares, and compare what they solve with the CPU."""
    cpu = importlib.import_module("fastcf._cpu")
    offset = float(ratings.values.mean(dtype=np.float64))
    by_item = ratings.by_item()
    order = {"item_indptr": by_item.indptr, "item_users": by_item.indices, "item_values": by_item.values}
    rows: list[dict[str, Any]] = []
    for cg_steps in (0, 3):
        of_cpu: list[Array] = []
        for name, module in (("cpu", cpu), ("gpu", bench.module)):
            trainer = trainer_of(module, "AlsTrainer", ratings, bench.sizes.k, offset, cg_steps=cg_steps, **order)
            bias = [np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)]
            parameters = [P.copy(), Q.copy(), *bias]
            trainer.set_parameters(*parameters)
            times = []
            for _ in range(1 if name == "cpu" else 4):
                start = time.perf_counter()
                trainer.epoch()
                times.append(time.perf_counter() - start)
                if len(times) == 1:
                    trainer.get_parameters(*parameters)
            if name == "cpu":
                of_cpu = parameters
                continue
            for label, got, wanted in zip(("P", "Q", "b_u", "b_i"), parameters, of_cpu, strict=True):
                close(f"als, cg_steps={cg_steps}, {label}", got, wanted, 1e-3)
            rows.append({"cg_steps": cg_steps, "seconds": times, "rmse": train_error(ratings, parameters, offset)})
            if not bench.emulated:
                rate = 2 * ratings.nnz / float(np.median(times[1:]))
                print(f"  als cg_steps={cg_steps} {np.median(times[1:]):.4f} s per sweep, {rate / 1e9:.2f} G ratings/s")
    return rows


def torch_gradient(bench: Bench, ratings: fastcf.Ratings, P: Array, Q: Array, offset: float) -> float:
    """Return the time of the same step in PyTorch, in chunks that fit its gathered rows."""
    torch = bench.torch
    p, q = (torch.tensor(x, device="cuda", requires_grad=True) for x in (P, Q))
    users = torch.tensor(ratings.row_of_entry(), device="cuda", dtype=torch.int64)
    items = torch.tensor(ratings.indices, device="cuda", dtype=torch.int64)
    y = torch.tensor(ratings.values, device="cuda") - offset
    chunk = 10_000_000

    def step() -> None:
        p.grad = q.grad = None
        for first in range(0, len(y), chunk):
            part = slice(first, first + chunk)
            z = (p[users[part]] * q[items[part]]).sum(1)
            (0.5 * (z - y[part]).square().sum()).backward()
        with torch.no_grad():
            p.sub_(1e-5 * p.grad)
            q.sub_(1e-5 * q.grad)

    return bench.seconds(step, repeats=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulated", action="store_true")
    parser.add_argument("--ratings", type=int, default=FULL.ratings)
    parser.add_argument("--k", type=int, default=FULL.k)
    arguments = parser.parse_args()
    name = "_emu" if arguments.emulated else "_cuda"
    module = importlib.import_module(f"fastcf.{name}")
    probe = module.probe()
    if not probe["available"]:
        raise SystemExit(f"no GPU can be used: {probe['reason']}")
    sizes = TINY if arguments.emulated else FULL._replace(ratings=arguments.ratings, k=arguments.k)
    bench = Bench(module, sizes, arguments.emulated)
    report: dict[str, Any] = {"probe": probe, "sizes": sizes._asdict()}
    if not bench.emulated:
        report["machine"] = bench.machine()
    report["cases"] = [run_case(bench, case, report.get("machine")) for case in predictions(bench)]
    report["cases"] += [run_case(bench, case, report.get("machine")) for case in retrieval(bench)]
    ratings, P, Q = rated(bench)
    report["sgd"] = sgd(bench, ratings, P, Q)
    report["gradient"] = gradient(bench, ratings, P, Q)
    report["minibatches"] = minibatches(bench, ratings, P, Q)
    report["biases"] = biases(bench, ratings)
    report["als"] = als(bench, ratings, P, Q)
    report["autoencoders"] = autoencoders(bench, close)
    if bench.emulated:
        print("all checks passed on the emulated GPU; nothing was measured")
    else:
        write_json("gpu", report)


def run_case(bench: Bench, case: Case, machine: dict[str, float] | None) -> dict[str, Any]:
    """Check a case, time it and its peers, and say how near it comes to the machine's limits."""
    case.check()
    if machine is None:
        case.run()
        return {"name": case.name}
    seconds = bench.seconds(case.run)
    memory = case.bytes / seconds / machine["copy_bytes_per_second"]
    arithmetic = case.flops / seconds / machine["product_flops_per_second"]
    peers = {name: bench.seconds(run) for name, run in case.peers.items()}
    ratios = ", ".join(f"{name} {value / seconds:.1f} times that" for name, value in peers.items())
    print(f"  {case.name}: {seconds * 1e3:.3f} ms, {memory:.0%} of the copy, {arithmetic:.0%} of the product {ratios}")
    return {"name": case.name, "seconds": seconds, "share_of_copy": memory, "share_of_product": arithmetic,
            "peers": peers}  # fmt: skip


if __name__ == "__main__":
    main()
