"""Native ingestion: host only, whatever device trains. Arrays are checked, never converted."""

import numpy as np
import numpy.typing as npt

def make_ratings(
    *,
    n_users: int,
    n_items: int,
    n_ratings: int,
    popularity: float,
    activity: float,
    mean: float,
    user_bias_deviation: float,
    item_bias_deviation: float,
    signal: float,
    noise: float,
    levels: npt.NDArray[np.float32] | None,
    seed: int,
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    timestamps: npt.NDArray[np.int64] | None,
    user_factors: npt.NDArray[np.float32],
    item_factors: npt.NDArray[np.float32],
    user_bias: npt.NDArray[np.float32],
    item_bias: npt.NDArray[np.float32],
    n_threads: int,
) -> tuple[float, float]: ...
