from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf import _cpu

pytestmark = pytest.mark.every_isa

sizes = st.sampled_from([0, 1, 31, 32, 33, 70])
# Beyond a block of the own kernel, and beyond what one thread takes.
large_sizes = st.sampled_from([1, 12, 13, 33, 257, 300, 520])
scales = st.sampled_from([(1.0, 0.0), (0.5, 1.0), (-2.0, 0.25), (0.0, 0.5)])
seeds = st.integers(0, 2**32 - 1)


def choices(backend: ModuleType) -> tuple[str, ...]:
    """Who may compute a product: a GPU has no choice."""
    return ("blas", "own") if backend.__name__.endswith("_cpu") else ("auto",)


@contextmanager
def chosen(backend: ModuleType, choice: str) -> Iterator[None]:
    backend.set_gemm(choice)
    try:
        yield
    finally:
        backend.set_gemm("auto")


def check_product(backend, m, n, k, transpose_a, transpose_b, dtype, factors, seed, n_threads=2):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    c = rng.standard_normal((m, n)).astype(dtype)
    alpha, beta = factors
    left, right = (
        x.astype(np.float64).T if t else x.astype(np.float64) for x, t in ((a, transpose_a), (b, transpose_b))
    )
    expected = alpha * left @ right + beta * c
    bound = np.finfo(dtype).eps * (k + 4) * (abs(alpha) * np.abs(left) @ np.abs(right) + np.abs(c))
    if beta == 0:
        c[:] = np.nan  # is not read
    for choice in choices(backend):
        result = c.copy()
        with chosen(backend, choice):
            backend.gemm(a, b, result, transpose_a, transpose_b, alpha, beta, n_threads)
        assert (np.abs(result - expected) <= bound).all(), choice


@given(sizes, sizes, sizes, st.booleans(), st.booleans(), st.sampled_from([np.float32, np.float64]), scales, seeds)
def test_gemm_equals_reference(backend, m, n, k, transpose_a, transpose_b, dtype, factors, seed):
    check_product(backend, m, n, k, transpose_a, transpose_b, dtype, factors, seed)


@settings(max_examples=60)
@given(large_sizes, large_sizes, large_sizes, st.booleans(), st.booleans(), scales, seeds, st.sampled_from([1, 2, 4]))
def test_gemm_of_several_blocks_equals_reference(m, n, k, transpose_a, transpose_b, factors, seed, n_threads):
    check_product(_cpu, m, n, k, transpose_a, transpose_b, np.float32, factors, seed, n_threads)


@pytest.mark.parametrize(("m", "n"), [(500, 500), (70, 777), (777, 70)])
@pytest.mark.parametrize("transposed", [False, True])
def test_gemm_same_bits_for_any_number_of_threads(backend, m, n, transposed):
    rng = np.random.default_rng(0)
    if backend.__name__.endswith("_emu"):
        m, n = m // 4, n // 4
    k = m
    a = rng.standard_normal((k, m) if transposed else (m, k), dtype=np.float32)
    b = rng.standard_normal((n, k) if transposed else (k, n), dtype=np.float32)
    for choice in choices(backend):
        results = []
        with chosen(backend, choice):
            for n_threads in (1, 2, 3, 4, 16):
                c = np.empty((m, n), np.float32)
                backend.gemm(a, b, c, transposed, transposed, n_threads=n_threads)
                results.append(c)
        for c in results[1:]:
            np.testing.assert_array_equal(c, results[0])


@pytest.mark.parametrize("choice", ["blas", "own"])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_gemm_reads_and_writes_nothing_else(choice, transpose_a, transpose_b):
    """Operands end where their page ends, the next one forbidden; the result has neighbours that must not change."""
    m, n, k = 37, 45, 29
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
    around = np.full(m * n + 64, 7, np.float32)
    c = around[32:-32].reshape(m, n)
    operands = [guarded(x.T if t else x) for x, t in ((a, transpose_a), (b, transpose_b))]
    with chosen(_cpu, choice):
        _cpu.gemm(*operands, c, transpose_a, transpose_b)
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-4)
    assert (around[:32] == 7).all()
    assert (around[-32:] == 7).all()


def guarded(x: np.ndarray) -> np.ndarray:
    """A copy of ``x`` right before memory that may not be read."""
    import ctypes
    import mmap

    page = mmap.PAGESIZE
    whole = -(-x.nbytes // page) * page
    pages = mmap.mmap(-1, whole + page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(base + whole), ctypes.c_size_t(page), 0) == 0
    copy = np.frombuffer(pages, np.float32, x.size, whole - x.nbytes).reshape(x.shape)
    copy[:] = x
    return copy


def test_gemm_own_keeps_what_is_not_finite():
    a, b = np.ones((40, 50), np.float32), np.ones((50, 60), np.float32)
    a[3, 5], b[7, 11] = np.nan, np.inf
    c = np.empty((40, 60), np.float32)
    with chosen(_cpu, "own"):
        _cpu.gemm(a, b, c)
    assert np.isnan(c[3]).all()
    assert np.isposinf(np.delete(c[:, 11], 3)).all()
    assert (np.delete(np.delete(c, 3, 0), 11, 1) == 50).all()


# The kernels that OpenBLAS is told to take and the level of this library; one that cannot be told decides by itself.
@pytest.mark.parametrize(
    ("core", "isa"), [("SkylakeX", "avx512"), ("Haswell", "avx512"), ("Haswell", "avx2"), ("Nehalem", "avx2")]
)
def test_gemm_is_own_where_blas_has_shorter_vectors(core, isa):
    levels = ("baseline", "avx2", "avx512")
    if levels.index(isa) > levels.index(_cpu.config()["best_isa"]):
        pytest.skip(f"this processor goes up to {_cpu.config()['best_isa']}")
    done = subprocess.run(
        [sys.executable, "-c", "import json; from fastcf import _cpu; print(json.dumps(_cpu.config()))"],
        env={**os.environ, "OPENBLAS_CORETYPE": core, "FASTCF_ISA": isa}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    config = json.loads(done.stdout)
    shorter = {"Nehalem": ("avx2", "avx512"), "Haswell": ("avx512",)}.get(config["blas_core"], ())
    if config["blas_core"] == core:
        assert config["gemm"] == ("own" if isa in shorter else "blas")
    else:
        assert config["gemm"] in ("own", "blas")


def test_gemm_bad_input_raises(backend):
    a, b, c = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="gemm: the inner dimensions must agree; got 2 and 3"):
        backend.gemm(a, b, c, transpose_a=True)
    with pytest.raises(ValueError, match=r"gemm: the result must be \(2, 4\); got \(2, 3\)"):
        backend.gemm(a, b, a.copy())
    with pytest.raises(TypeError, match="gemm: a must have dtype float64; got float32"):
        backend.gemm(a, b, c.astype(np.float64))
    with pytest.raises(ValueError, match="set_gemm: which must be 'auto', 'blas' or 'own'; got 'mkl'"):
        backend.set_gemm("mkl")
