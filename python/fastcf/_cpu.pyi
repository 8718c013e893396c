"""The CPU backend: what csrc/bind/backend registers. Callers validate meaning; these re-check dtype, shape and bounds."""

from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

class Config(TypedDict):
    isa: str
    best_isa: str
    threads: int
    compiler: str

def config() -> Config: ...
def topk(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    item_bias: NDArray[np.float32] | None,
    n: int,
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def nearest(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    n: int,
    metric: Literal["dot", "cosine", "euclidean"] = "cosine",
    query_rows: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def predict_pairs(
    user_rows: NDArray[np.int32],
    item_rows: NDArray[np.int32],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    global_offset: float = 0.0,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def predict_block(
    user_rows: NDArray[np.int32],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    global_offset: float = 0.0,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def evaluate_csr(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    global_offset: float = 0.0,
    low: float = ...,
    high: float = ...,
    n_threads: int = 0,
) -> tuple[float, float, int]: ...
