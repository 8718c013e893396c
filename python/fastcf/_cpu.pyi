"""The CPU backend, csrc/bind/backend. Callers validate meaning; shapes and bounds are re-checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def activate(
    kind: str, x: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]] | None = None, n_threads: int = 0
) -> None: ...
def activation_gradient(
    kind: str,
    y: NDArray[np.floating[Any]],
    gradient: NDArray[np.floating[Any]],
    bias_gradient: NDArray[np.floating[Any]] | None = None,
    n_threads: int = 0,
) -> None: ...
def dropout(
    x: NDArray[np.floating[Any]], rate: float, key: int, alpha: bool = False, gradient: bool = False, n_threads: int = 0
) -> None: ...
def als_update(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32] | None,
    column_factors: NDArray[np.float32],
    factors: NDArray[np.float32],
    bias: NDArray[np.float32] | None = None,
    *,
    weights: NDArray[np.float32] | None = None,
    row_offset: NDArray[np.float32] | None = None,
    column_offset: NDArray[np.float32] | None = None,
    offset: float = 0.0,
    reg: float = 0.0,
    reg_exponent: float = 0.0,
    bias_reg: float = 0.0,
    precision: float = 1.0,
    prior: NDArray[np.float32] | None = None,
    prior_mean: NDArray[np.float32] | None = None,
    noise: NDArray[np.float32] | None = None,
    noise_seed: int = 0,
    cg_steps: int = 0,
    squared_errors: NDArray[np.float64] | None = None,
    penalties: NDArray[np.float32] | None = None,
    unobserved: float = 0.0,
    spectrum: NDArray[np.float32] | None = None,
    residuals: NDArray[np.float32] | None = None,
    only_errors: bool = False,
    n_threads: int = 0,
) -> None: ...

class AlsTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        *,
        weights: NDArray[np.float32] | None = None,
        item_offset: NDArray[np.float32] | None = None,
        item_indptr: NDArray[np.int64],
        item_users: NDArray[np.int32],
        item_values: NDArray[np.float32],
        item_weights: NDArray[np.float32] | None = None,
        global_offset: float = 0.0,
        n_factors: int,
        reg: float,
        reg_exponent: float,
        user_bias: bool,
        item_bias: bool,
        user_bias_reg: float,
        item_bias_reg: float,
        lowest: float,
        highest: float,
        cost: str = "squared",
        seed: int,
        n_threads: int = 0,
        cg_steps: int = 0,
    ) -> None: ...
    def set_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def get_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def epoch(self) -> float: ...
    def penalty(self) -> float: ...
    def set_validation(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def set_sample(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def sample_squared_error(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

def autoencoder_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    inputs: NDArray[np.floating[Any]],
    targets: NDArray[np.floating[Any]],
    n_columns: int,
    parameters: tuple[
        NDArray[Any],
        NDArray[Any] | None,
        NDArray[Any],
        Sequence[NDArray[Any]],
        Sequence[NDArray[Any]],
        NDArray[Any] | None,
        NDArray[Any] | None,
    ],
    gradient: tuple[
        NDArray[Any],
        NDArray[Any] | None,
        NDArray[Any],
        Sequence[NDArray[Any]],
        Sequence[NDArray[Any]],
        NDArray[Any] | None,
        NDArray[Any] | None,
    ],
    *,
    weights: NDArray[np.floating[Any]] | None = None,
    offsets: NDArray[np.floating[Any]] | None = None,
    input_dropout: NDArray[np.floating[Any]] | None = None,
    layers: Sequence[int],
    activation: str,
    output_activation: str = "identity",
    tied: bool = False,
    dropout: float = 0.0,
    alpha_dropout: bool = False,
    cost: str = "squared",
    penalised_bias: bool = False,
    n_negatives: int = 0,
    rated_input: float = 0.0,
    rated_output: bool = False,
    weight_decay: float = 0.0,
    seed: int = 0,
    dense: bool = False,
    n_threads: int = 0,
) -> float: ...
def autoencoder_hidden(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    input_weights: NDArray[np.float32],
    hidden_weights: Sequence[NDArray[np.float32]],
    hidden_biases: Sequence[NDArray[np.float32]],
    rated_weights: NDArray[np.float32] | None = None,
    *,
    layers: Sequence[int],
    activation: str,
    tied: bool,
    rated_input: float = 0.0,
    depth: int,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...

class AutoencoderTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        inputs: NDArray[np.float32],
        targets: NDArray[np.float32],
        n_columns: int,
        *,
        weights: NDArray[np.float32] | None = None,
        offsets: NDArray[np.float32] | None = None,
        input_dropout: NDArray[np.float32] | None = None,
        layers: Sequence[int],
        activation: str,
        output_activation: str,
        tied: bool,
        dropout: float = 0.0,
        alpha_dropout: bool = False,
        cost: str = "squared",
        penalised_bias: bool = False,
        n_negatives: int = 0,
        rated_input: float = 0.0,
        rated_output: bool = False,
        output_rate: float = 1.0,
        dense_refeeding: int = 0,
        optimizer: str = "gd",
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
        batch_size: int,
        lowest: float,
        highest: float,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def epoch(self, learning_rate: float) -> float: ...
    def set_validation(
        self,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        offsets: NDArray[np.float32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
        scale: float = 1.0,
    ) -> None: ...
    def multinomial_cost(
        self,
        rows: NDArray[np.int32],
        indptr: NDArray[np.int64],
        columns: NDArray[np.int32],
        strengths: NDArray[np.float32],
        n_columns: int,
    ) -> float: ...
    def set_parameters(
        self,
        parameters: tuple[
            NDArray[Any],
            NDArray[Any] | None,
            NDArray[Any],
            Sequence[NDArray[Any]],
            Sequence[NDArray[Any]],
            NDArray[Any] | None,
            NDArray[Any] | None,
        ],
    ) -> None: ...
    def get_parameters(
        self,
        parameters: tuple[
            NDArray[Any],
            NDArray[Any] | None,
            NDArray[Any],
            Sequence[NDArray[Any]],
            Sequence[NDArray[Any]],
            NDArray[Any] | None,
            NDArray[Any] | None,
        ],
    ) -> None: ...
    def penalty(self) -> float: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

def fit_biases(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    user_bias: NDArray[np.float32],
    item_bias: NDArray[np.float32],
    *,
    weights: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    user_reg: float = -1.0,
    item_reg: float = -1.0,
    max_iterations: int = 50,
    tolerance: float = 0.0001,
    n_threads: int = 0,
) -> dict[str, Any]: ...
def choice_cost(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    drawn: NDArray[np.int32],
    weights: NDArray[np.floating[Any]],
    correction: NDArray[np.floating[Any]],
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    item_bias: NDArray[np.floating[Any]] | None = None,
    *,
    cost: str,
    reg: float = 0.0,
    reg_exponent: float = 0.0,
    user_gradient: NDArray[np.floating[Any]] | None = None,
    item_gradient: NDArray[np.floating[Any]] | None = None,
    bias_gradient: NDArray[np.floating[Any]] | None = None,
    n_threads: int = 0,
) -> float: ...
def config() -> dict[str, Any]: ...
def probe(number: int = -1) -> dict[str, Any]: ...
def cooccurrence(
    left_indptr: NDArray[np.int64],
    left_indices: NDArray[np.int32],
    left_values: NDArray[np.float32] | None,
    right_indptr: NDArray[np.int64],
    right_indices: NDArray[np.int32],
    right_values: NDArray[np.float32] | None,
    n_columns: int,
    m: int,
    weights: NDArray[np.float32] | None = None,
    row_scale: NDArray[np.float32] | None = None,
    column_scale: NDArray[np.float32] | None = None,
    shrinkage: float = 0.0,
    left_out: NDArray[np.int32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...

class DeviceArray:
    def __init__(self, array: NDArray[Any]) -> None: ...
    def numpy(self) -> NDArray[Any]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...

def random_on_device(
    rows: int, cols: int, distribution: str, scale: float, seed: int, stream: int = 0, n_threads: int = 0
) -> DeviceArray: ...
def factor_gram(rows: NDArray[np.float32], n_threads: int = 0) -> NDArray[np.float64]: ...
def set_gemm(which: str) -> None: ...
def gemm(
    a: NDArray[np.floating[Any]],
    b: NDArray[np.floating[Any]],
    c: NDArray[np.floating[Any]],
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    n_threads: int = 0,
) -> None: ...

class GradientTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        *,
        weights: NDArray[np.float32] | None = None,
        item_offset: NDArray[np.float32] | None = None,
        global_offset: float = 0.0,
        n_factors: int,
        reg: float,
        reg_exponent: float,
        user_bias: bool,
        item_bias: bool,
        user_bias_reg: float,
        item_bias_reg: float,
        lowest: float,
        highest: float,
        cost: str = "squared",
        seed: int,
        n_threads: int = 0,
        optimizer: str = "gd",
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        batch_size: int = 0,
    ) -> None: ...
    def set_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def get_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def epoch(self, learning_rate: float, bias_learning_rate: float) -> float: ...
    def order(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]: ...
    def penalty(self) -> float: ...
    def set_validation(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def set_sample(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def sample_squared_error(self) -> float: ...
    def sample_log_loss(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

class ImplicitTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32] | None,
        n_items: int,
        *,
        item_indptr: NDArray[np.int64],
        item_users: NDArray[np.int32],
        item_values: NDArray[np.float32] | None,
        n_factors: int,
        reg: float,
        reg_exponent: float,
        unobserved: float,
        cg_steps: int = 0,
        block: int = 0,
        n_threads: int = 0,
    ) -> None: ...
    def set_parameters(self, user_factors: NDArray[np.float32], item_factors: NDArray[np.float32]) -> None: ...
    def get_parameters(self, user_factors: NDArray[np.float32], item_factors: NDArray[np.float32]) -> None: ...
    def gram(self, users: bool) -> NDArray[np.float64]: ...
    def update(self, users: bool, basis: NDArray[np.float32], spectrum: NDArray[np.float32]) -> float: ...
    def squared_error(self) -> float: ...
    def penalty(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

def gram(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    n_columns: int,
    values: NDArray[np.float32] | None = None,
    targets: NDArray[np.float32] | None = None,
    row_weights: NDArray[np.float64] | None = None,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def item_scores_block(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    weights: NDArray[np.float32],
    base: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def item_scores_pairs(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    base: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def item_scores_best(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    weights: NDArray[np.float32],
    n: int,
    base: NDArray[np.float32] | None = None,
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def in_batch_softmax(
    scores: NDArray[np.floating[Any]],
    indptr: NDArray[np.int64],
    items: NDArray[np.int32],
    offsets: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
    n_threads: int = 0,
) -> float: ...
def random(
    rows: int, cols: int, distribution: str, scale: float, seed: int, stream: int = 0, n_threads: int = 0
) -> NDArray[np.float32]: ...
def local_weights(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32] | None,
    n_items: int,
    user_weights: NDArray[np.float32],
    neighbour_indptr: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    reg: float,
    diagonal: float,
    targets: NDArray[np.float32] | None = None,
    scratch_bytes: int = 1073741824,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def loss_gradient(
    predicted: NDArray[np.floating[Any]],
    target: NDArray[np.floating[Any]],
    gradient: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
    loss: str = "squared",
    scale: float = 1.0,
    n_threads: int = 0,
) -> float: ...

class SampledTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        *,
        item_counts: NDArray[np.int64] | None = None,
        n_factors: int,
        cost: str = "bpr",
        n_drawn: int = 1,
        popularity_power: float = 0.0,
        reg: float,
        reg_exponent: float,
        item_bias: bool,
        fixed_items: bool = False,
        item_blocks: int = 0,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def set_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def get_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def epoch(self, learning_rate: float, bias_learning_rate: float) -> None: ...
    def order(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]: ...
    def penalty(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...
    def drawn(self) -> NDArray[np.int32]: ...
    def correction(self) -> NDArray[np.float32]: ...
    def set_sample(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        drawn: NDArray[np.int32],
        weights: NDArray[np.float32],
        correction: NDArray[np.float32],
    ) -> None: ...
    def sample_cost(self) -> float: ...

class SgdTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        *,
        weights: NDArray[np.float32] | None = None,
        item_offset: NDArray[np.float32] | None = None,
        global_offset: float = 0.0,
        n_factors: int,
        reg: float,
        reg_exponent: float,
        user_bias: bool,
        item_bias: bool,
        user_bias_reg: float,
        item_bias_reg: float,
        lowest: float,
        highest: float,
        cost: str = "squared",
        seed: int,
        n_threads: int = 0,
        deterministic: bool = True,
        storage: str = "float32",
    ) -> None: ...
    def set_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def get_parameters(
        self,
        user_factors: NDArray[np.float32],
        item_factors: NDArray[np.float32],
        user_bias: NDArray[np.float32] | None = None,
        item_bias: NDArray[np.float32] | None = None,
    ) -> None: ...
    def epoch(self, learning_rate: float, bias_learning_rate: float) -> float: ...
    def order(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]: ...
    def penalty(self) -> float: ...
    def set_validation(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def set_sample(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def sample_squared_error(self) -> float: ...
    def sample_log_loss(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

def spd_inverse(a: NDArray[np.float32], n_threads: int = 0) -> int: ...
def mf_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.floating[Any]],
    item_indptr: NDArray[np.int64],
    item_users: NDArray[np.int32],
    item_entries: NDArray[np.int64],
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    user_bias: NDArray[np.floating[Any]] | None = None,
    item_bias: NDArray[np.floating[Any]] | None = None,
    *,
    weights: NDArray[np.floating[Any]] | None = None,
    item_offset: NDArray[np.floating[Any]] | None = None,
    global_offset: float = 0.0,
    cost: str = "squared",
    user_reg: NDArray[np.floating[Any]] | None = None,
    item_reg: NDArray[np.floating[Any]] | None = None,
    user_bias_reg: NDArray[np.floating[Any]] | None = None,
    item_bias_reg: NDArray[np.floating[Any]] | None = None,
    n_threads: int = 0,
) -> tuple[
    float,
    float,
    NDArray[np.floating[Any]],
    NDArray[np.floating[Any]],
    NDArray[np.floating[Any]] | None,
    NDArray[np.floating[Any]] | None,
    NDArray[np.floating[Any]],
]: ...
def mf_predict(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    user_bias: NDArray[np.floating[Any]] | None = None,
    item_bias: NDArray[np.floating[Any]] | None = None,
    *,
    item_offset: NDArray[np.floating[Any]] | None = None,
    global_offset: float = 0.0,
    cost: str = "squared",
    n_threads: int = 0,
) -> NDArray[np.floating[Any]]: ...
def nearest(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    n: int,
    metric: str = "cosine",
    query_rows: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def normalize(x: NDArray[np.floating[Any]], length: float = 1.0, n_threads: int = 0) -> NDArray[Any]: ...
def normalize_gradient(
    x: NDArray[np.floating[Any]], gradient: NDArray[np.floating[Any]], length: float = 1.0, n_threads: int = 0
) -> None: ...
def optimizer_step(
    name: str,
    decay: float,
    second_decay: float,
    epsilon: float,
    learning_rate: float,
    step: int,
    parameters: NDArray[np.floating[Any]],
    gradient: NDArray[np.floating[Any]],
    first: NDArray[np.floating[Any]] | None = None,
    second: NDArray[np.floating[Any]] | None = None,
    rows: NDArray[np.int32] | None = None,
    row_steps: NDArray[np.int64] | None = None,
    weight_decay: float = 0.0,
    n_threads: int = 0,
) -> None: ...
def optimizer_flush(
    name: str,
    decay: float,
    second_decay: float,
    epsilon: float,
    step: int,
    parameters: NDArray[np.floating[Any]],
    first: NDArray[np.floating[Any]] | None = None,
    second: NDArray[np.floating[Any]] | None = None,
    row_steps: NDArray[np.int64] | None = None,
    weight_decay: float = 0.0,
    learning_rate: float = 0.0,
    n_threads: int = 0,
) -> None: ...
def penalty(
    rows: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]] | None = None, n_threads: int = 0
) -> float: ...
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
    weights: NDArray[np.float32] | None = None,
    low: float = ...,
    high: float = ...,
    n_threads: int = 0,
) -> tuple[float, float, int]: ...
def evaluate_pairs(
    user_rows: NDArray[np.int32],
    item_rows: NDArray[np.int32],
    values: NDArray[np.float32],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    global_offset: float = 0.0,
    weights: NDArray[np.float32] | None = None,
    low: float = ...,
    high: float = ...,
    n_threads: int = 0,
) -> tuple[float, float, int]: ...
def log_loss_pairs(
    user_rows: NDArray[np.int32],
    item_rows: NDArray[np.int32],
    values: NDArray[np.float32],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_bias: NDArray[np.float32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    item_offset: NDArray[np.float32] | None = None,
    global_offset: float = 0.0,
    weights: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> float: ...
def gather_rows(
    matrix: NDArray[np.floating[Any]],
    rows: NDArray[np.int32],
    weights: NDArray[np.floating[Any]] | None = None,
    n_threads: int = 0,
) -> NDArray[Any]: ...
def softmax_gradient(
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    strengths: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]],
    bias: NDArray[np.floating[Any]] | None = None,
    scale: float = 1.0,
    n_threads: int = 0,
) -> float: ...
def sparse_item_scores_block(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    weights_indptr: NDArray[np.int64],
    weights_indices: NDArray[np.int32],
    weights_values: NDArray[np.float32],
    n_items: int,
    base: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def sparse_item_scores_pairs(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    weights_indptr: NDArray[np.int64],
    weights_indices: NDArray[np.int32],
    weights_values: NDArray[np.float32],
    n_items: int,
    base: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def sparse_item_scores_best(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    users: NDArray[np.int32],
    weights_indptr: NDArray[np.int64],
    weights_indices: NDArray[np.int32],
    weights_values: NDArray[np.float32],
    n_items: int,
    n: int,
    base: NDArray[np.float32] | None = None,
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    item_bias: NDArray[np.float32] | None = None,
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def spmm(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.floating[Any]],
    x: NDArray[np.floating[Any]],
    entries: NDArray[np.int64] | None = None,
    n_threads: int = 0,
    add_to: NDArray[np.floating[Any]] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def topk(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    item_bias: NDArray[np.float32] | None,
    n: int,
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    storage: str = "float32",
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def two_tower_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.floating[Any]],
    user_features: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]],
    item_features: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]],
    parameters: tuple[
        tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
        tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
    ],
    gradient: tuple[
        tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
        tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
    ],
    *,
    weights: NDArray[np.floating[Any]] | None = None,
    offsets: NDArray[np.floating[Any]] | None = None,
    user_layers: Sequence[int],
    item_layers: Sequence[int],
    activation: str,
    dropout: float = 0.0,
    length: float = 0.0,
    cost: str = "squared",
    centre: float = 0.0,
    weight_decay: float = 0.0,
    seed: int = 0,
    n_threads: int = 0,
) -> float: ...
def tower_vectors(
    features: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]],
    parameters: tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
    *,
    layers: Sequence[int],
    activation: str,
    length: float = 0.0,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...

class TwoTowerTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        n_items: int,
        user_features: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]],
        item_features: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]],
        *,
        weights: NDArray[np.float32] | None = None,
        offsets: NDArray[np.float32] | None = None,
        user_layers: Sequence[int],
        item_layers: Sequence[int],
        activation: str,
        dropout: float = 0.0,
        length: float = 0.0,
        cost: str = "squared",
        centre: float = 0.0,
        optimizer: str = "gd",
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
        batch_size: int,
        lowest: float,
        highest: float,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def epoch(self, learning_rate: float) -> float: ...
    def set_parameters(
        self,
        parameters: tuple[
            tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
            tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
        ],
    ) -> None: ...
    def get_parameters(
        self,
        parameters: tuple[
            tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
            tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
        ],
    ) -> None: ...
    def penalty(self) -> float: ...
    def set_validation(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        values: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def get_state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, state: dict[str, NDArray[Any]]) -> None: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...
