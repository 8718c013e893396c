"""The CPU backend: what csrc/bind/backend registers. Callers validate meaning; these re-check shapes and bounds."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

class Config(TypedDict):
    isa: str
    best_isa: str
    threads: int
    gemm: Literal["own", "blas"]
    blas_core: str
    compiler: str

class Device(TypedDict):
    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    multiprocessors: int

class Probe(TypedDict):
    available: bool
    reason: str
    devices: list[Device]
    in_use: int
    driver_version: int
    runtime_version: int

class DeviceArray:
    def __init__(self, array: NDArray[Any]) -> None: ...
    def numpy(self) -> NDArray[Any]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...

def config() -> Config: ...
def probe(number: int = -1) -> Probe: ...
def activate(kind: str, x: NDArray[Any], bias: NDArray[Any] | None = None, n_threads: int = 0) -> None: ...
def activation_gradient(
    kind: str,
    y: NDArray[Any],
    gradient: NDArray[Any],
    bias_gradient: NDArray[Any] | None = None,
    n_threads: int = 0,
) -> None: ...
def dropout(
    x: NDArray[Any], rate: float, key: int, alpha: bool = False, gradient: bool = False, n_threads: int = 0
) -> None: ...
def spmm(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[Any],
    x: NDArray[Any],
    entries: NDArray[np.int64] | None = None,
    n_threads: int = 0,
    add_to: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def normalize(x: NDArray[Any], length: float = 1.0, n_threads: int = 0) -> NDArray[Any]: ...
def normalize_gradient(x: NDArray[Any], gradient: NDArray[Any], length: float = 1.0, n_threads: int = 0) -> None: ...
def loss_gradient(
    predicted: NDArray[Any],
    target: NDArray[Any],
    gradient: NDArray[Any],
    weights: NDArray[Any] | None = None,
    loss: Literal["squared", "logistic"] = "squared",
    scale: float = 1.0,
    n_threads: int = 0,
) -> float: ...
def set_gemm(which: Literal["auto", "blas", "own"]) -> None: ...
def gemm(
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    n_threads: int = 0,
) -> None: ...
def als_update(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
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
    n_threads: int = 0,
) -> None: ...
def random(
    rows: int,
    cols: int,
    distribution: str,
    scale: float,
    seed: int,
    stream: int = 0,
    n_threads: int = 0,
) -> NDArray[np.float32]: ...
def random_on_device(
    rows: int,
    cols: int,
    distribution: str,
    scale: float,
    seed: int,
    stream: int = 0,
    n_threads: int = 0,
) -> DeviceArray: ...
def topk(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    item_bias: NDArray[np.float32] | None,
    n: int,
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    candidates: NDArray[np.int32] | None = None,
    excluded: NDArray[np.int32] | None = None,
    storage: Literal["float32", "float16"] = "float32",
    n_threads: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def merge_candidates(
    list_indptr: NDArray[np.int64],
    list_items: NDArray[np.int32],
    list_scores: NDArray[np.float32] | None,
    user_indptr: NDArray[np.int64],
    user_lists: NDArray[np.int32],
    seen_indptr: NDArray[np.int64] | None = None,
    seen_indices: NDArray[np.int32] | None = None,
    limit: int = -1,
    n_threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32] | None, NDArray[np.uint64]]: ...
def top_candidates(
    indptr: NDArray[np.int64], scores: NDArray[np.float32], n: int, n_threads: int = 0
) -> NDArray[np.int64]: ...
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
    n_threads: int = 0,
) -> float: ...
def penalty(rows: NDArray[np.float32], weights: NDArray[np.float32], n_threads: int = 0) -> float: ...
def gather_rows(
    matrix: NDArray[Any],
    rows: NDArray[np.int32],
    weights: NDArray[Any] | None = None,
    n_threads: int = 0,
) -> NDArray[Any]: ...
def mf_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.floating],
    item_indptr: NDArray[np.int64],
    item_users: NDArray[np.int32],
    item_entries: NDArray[np.int64],
    user_factors: NDArray[np.floating],
    item_factors: NDArray[np.floating],
    user_bias: NDArray[np.floating] | None = None,
    item_bias: NDArray[np.floating] | None = None,
    *,
    weights: NDArray[np.floating] | None = None,
    item_offset: NDArray[np.floating] | None = None,
    global_offset: float = 0.0,
    cost: str = "squared",
    user_reg: NDArray[np.floating] | None = None,
    item_reg: NDArray[np.floating] | None = None,
    user_bias_reg: NDArray[np.floating] | None = None,
    item_bias_reg: NDArray[np.floating] | None = None,
    n_threads: int = 0,
) -> tuple[
    float,
    float,
    NDArray[np.floating],
    NDArray[np.floating],
    NDArray[np.floating] | None,
    NDArray[np.floating] | None,
    NDArray[np.floating],
]: ...
def mf_predict(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    user_factors: NDArray[np.floating],
    item_factors: NDArray[np.floating],
    user_bias: NDArray[np.floating] | None = None,
    item_bias: NDArray[np.floating] | None = None,
    *,
    item_offset: NDArray[np.floating] | None = None,
    global_offset: float = 0.0,
    cost: str = "squared",
    n_threads: int = 0,
) -> NDArray[np.floating]: ...
def optimizer_step(
    name: str,
    decay: float,
    second_decay: float,
    epsilon: float,
    learning_rate: float,
    step: int,
    parameters: NDArray[np.floating],
    gradient: NDArray[np.floating],
    first: NDArray[np.floating] | None = None,
    second: NDArray[np.floating] | None = None,
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
    parameters: NDArray[np.floating],
    first: NDArray[np.floating] | None = None,
    second: NDArray[np.floating] | None = None,
    row_steps: NDArray[np.int64] | None = None,
    weight_decay: float = 0.0,
    learning_rate: float = 0.0,
    n_threads: int = 0,
) -> None: ...

class BiasFit(TypedDict):
    mean: float
    user_reg: float
    item_reg: float
    noise_variance: float
    iterations: int

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
    tolerance: float = 1e-4,
    n_threads: int = 0,
) -> BiasFit: ...

class RegressionReport(TypedDict):
    iterations: int
    unconverged: int

def regress_rows(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
    features: NDArray[np.float32] | tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    weights: NDArray[np.float32],
    intercept: NDArray[np.float32],
    *,
    sample_weights: NDArray[np.float32] | None = None,
    cost: Literal["squared", "logistic"] = "squared",
    solver: Literal["exact", "gradient"] = "exact",
    reg: float = 1.0,
    fit_intercept: bool = True,
    max_iterations: int = 100,
    tolerance: float = 1e-8,
    n_threads: int = 0,
) -> RegressionReport: ...

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
        global_offset: float = 0.0,
        n_factors: int,
        reg: float,
        reg_exponent: float,
        bias: bool,
        user_bias_reg: float,
        item_bias_reg: float,
        lowest: float,
        highest: float,
        cost: str = "squared",
        seed: int,
        n_threads: int = 0,
        cg_steps: int = 0,
        item_indptr: NDArray[np.int64],
        item_users: NDArray[np.int32],
        item_values: NDArray[np.float32],
        item_weights: NDArray[np.float32] | None = None,
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
        self, users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

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
        bias: bool,
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
        self, users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

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
        bias: bool,
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
        self, users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

_NetworkArrays = tuple[
    NDArray[Any],
    NDArray[Any] | None,
    NDArray[Any],
    Sequence[NDArray[Any]],
    Sequence[NDArray[Any]],
    NDArray[Any] | None,
]

def autoencoder_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    inputs: NDArray[Any],
    targets: NDArray[Any],
    n_columns: int,
    parameters: _NetworkArrays,
    gradient: _NetworkArrays,
    *,
    weights: NDArray[Any] | None = None,
    layers: Sequence[int],
    activation: str,
    output_activation: str = "identity",
    tied: bool = False,
    dropout: float = 0.0,
    alpha_dropout: bool = False,
    input_dropout: float = 0.0,
    rated_input: float = 0.0,
    offsets: NDArray[Any] | None = None,
    cost: str = "squared",
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
def perceptron_layout(layers: Sequence[int], bias: bool) -> tuple[int, list[int], list[int]]: ...
def perceptron_gradient(
    features: NDArray[Any],
    items: NDArray[np.int32],
    ratings: NDArray[Any],
    parameters: NDArray[Any],
    gradient: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    layers: Sequence[int],
    activation: str,
    bias: bool,
    levels: Sequence[float],
) -> float: ...
def perceptron_predict(
    parameters: NDArray[np.float32],
    features: NDArray[np.float32],
    networks: NDArray[np.int32],
    indptr: NDArray[np.int64] | None = None,
    items: NDArray[np.int32] | None = None,
    *,
    layers: Sequence[int],
    activation: str,
    bias: bool,
    levels: Sequence[float],
    n_threads: int = 0,
) -> NDArray[np.float32]: ...

class PerceptronTrainer:
    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        features: NDArray[np.float32],
        keys: NDArray[np.uint64],
        *,
        weights: NDArray[np.float32] | None = None,
        layers: Sequence[int],
        activation: str,
        bias: bool,
        levels: Sequence[float],
        reg: float,
        optimizer: str,
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        batch_size: int,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def draw_parameters(self, low: NDArray[np.float32], high: NDArray[np.float32]) -> None: ...
    def set_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def get_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def epoch(self, learning_rate: float) -> tuple[float, float]: ...
    def predict(
        self,
        networks: NDArray[np.int32],
        indptr: NDArray[np.int64] | None = None,
        items: NDArray[np.int32] | None = None,
    ) -> NDArray[np.float32]: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

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
        layers: Sequence[int],
        activation: str,
        output_activation: str,
        tied: bool,
        dropout: float = 0.0,
        alpha_dropout: bool = False,
        input_dropout: float = 0.0,
        rated_input: float = 0.0,
        offsets: NDArray[np.float32] | None = None,
        cost: str = "squared",
        dense_refeeding: int = 0,
        optimizer: str = "gd",
        decay: float = 0.0,
        second_decay: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
        penalised_bias: bool = False,
        batch_size: int,
        lowest: float,
        highest: float,
        seed: int,
        n_threads: int = 0,
    ) -> None: ...
    def set_parameters(self, parameters: _NetworkArrays) -> None: ...
    def get_parameters(self, parameters: _NetworkArrays) -> None: ...
    def epoch(self, learning_rate: float) -> float: ...
    def penalty(self) -> float: ...
    def set_validation(
        self,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        offsets: NDArray[np.float32],
        values: NDArray[np.float32],
        scale: float = 1.0,
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...

# Features of rows: indptr, indices and values of sparse ones, how many of these, dense ones.
_Features = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], int, NDArray[Any]]
# Of a tower: first weights of sparse and of dense features, weights and biases of all layers.
_TowerArrays = tuple[NDArray[Any], NDArray[Any], Sequence[NDArray[Any]], Sequence[NDArray[Any]]]

def two_tower_gradient(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[Any],
    user_features: _Features,
    item_features: _Features,
    parameters: tuple[_TowerArrays, _TowerArrays],
    gradient: tuple[_TowerArrays, _TowerArrays],
    *,
    weights: NDArray[Any] | None = None,
    user_layers: Sequence[int],
    item_layers: Sequence[int],
    activation: str,
    dropout: float = 0.0,
    length: float = 0.0,
    cost: str = "squared",
    centre: float = 0.0,
    seed: int = 0,
    n_threads: int = 0,
) -> float: ...
def tower_vectors(
    features: _Features,
    parameters: _TowerArrays,
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
        user_features: _Features,
        item_features: _Features,
        *,
        weights: NDArray[np.float32] | None = None,
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
    def set_parameters(self, parameters: tuple[_TowerArrays, _TowerArrays]) -> None: ...
    def get_parameters(self, parameters: tuple[_TowerArrays, _TowerArrays]) -> None: ...
    def epoch(self, learning_rate: float) -> float: ...
    def penalty(self) -> float: ...
    def set_validation(
        self, users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None: ...
    def validation_squared_error(self) -> float: ...
    def validation_log_loss(self) -> float: ...
    def save_best(self) -> None: ...
    def restore_best(self) -> None: ...
