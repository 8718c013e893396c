"""The state of every native trainer: a new trainer that is given it goes on to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from fastcf import _host
from fastcf.optimizers import OPTIMIZERS, as_optimizer

N_USERS, N_ITEMS, K = 30, 20, 5
RATES = {"gd": 0.03, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.02, "adadelta": 0.5, "adam": 0.005}


def ratings(labels=False):
    rng = np.random.default_rng(0)
    matrix = scipy.sparse.random_array((N_USERS, N_ITEMS), density=0.2, rng=rng, format="csr", dtype=np.float32)
    values = rng.integers(0, 2, matrix.nnz) if labels else rng.normal(0, 1, matrix.nnz)
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), values.astype(np.float32)


def constants(optimizer):
    values = as_optimizer(optimizer).constants._asdict()
    return {"optimizer": values.pop("name"), **values}


def drawn(*shapes):
    rng = np.random.default_rng(1)
    return [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]


class Factors:
    """Trainers of factor models."""

    def __init__(self, kind, optimizer="gd", *, cost="squared", user_bias=True, item_bias=True, **options):
        self.kind, self.rate = kind, RATES[optimizer]
        self.data = ratings(cost == "logistic")
        self.options = {
            "n_factors": K, "reg": 0.1, "reg_exponent": 1.0, "user_bias": user_bias, "item_bias": item_bias,
            "user_bias_reg": 0.2, "item_bias_reg": 0.3, "lowest": -9.0, "highest": 9.0, "seed": 3, "cost": cost,
            **options,
        }  # fmt: skip
        if kind == "GradientTrainer":
            self.options.update(constants(optimizer))
        if kind == "AlsTrainer":
            by_item = scipy.sparse.csr_array((self.data[2], *self.data[1::-1]), shape=(N_USERS, N_ITEMS)).tocsc()
            self.options.update(
                item_indptr=by_item.indptr.astype(np.int64),
                item_users=by_item.indices.astype(np.int32),
                item_values=by_item.data,
            )

    def start(self, module):
        trainer = getattr(module, self.kind)(*self.data, N_ITEMS, **self.options)
        trainer.set_parameters(*drawn((N_USERS, K), (N_ITEMS, K), N_USERS, N_ITEMS))
        return trainer

    def epoch(self, trainer, share):
        rates = () if self.kind == "AlsTrainer" else (self.rate * share, self.rate * share)
        return trainer.epoch(*rates)


class Autoencoders:
    """A deep one, with all that is random and all that is late."""

    def __init__(self, optimizer, *, tied=False, rated_input=1.5, rated_output=False, refeeding=1):
        self.rate, self.tied, self.rated = RATES[optimizer], tied, rated_input > 0
        self.options = {
            "layers": [6, 4], "activation": "selu", "output_activation": "identity", "tied": tied, "dropout": 0.3,
            "input_dropout": np.full(N_USERS, 0.2, np.float32), "rated_input": rated_input,
            "rated_output": rated_output, "dense_refeeding": refeeding, "weight_decay": 0.05, "batch_size": 4,
            "lowest": -9.0, "highest": 9.0, "seed": 3, **constants(optimizer),
        }  # fmt: skip

    def start(self, module):
        indptr, columns, values = ratings()
        trainer = module.AutoencoderTrainer(indptr, columns, values, values, N_ITEMS, **self.options)
        ends = [(N_ITEMS, 6)] * 3
        hidden = [(6, 4)] if self.tied else [(6, 4), (4, 6)]
        arrays = drawn(*ends, N_ITEMS, *hidden, 6, 4, 6)
        weights, biases = arrays[4 : 4 + len(hidden)], arrays[4 + len(hidden) :]
        output = None if self.tied else arrays[1]
        rated = arrays[2] if self.rated else None
        trainer.set_parameters((arrays[0], output, arrays[3], weights, biases, rated, None))
        return trainer

    def epoch(self, trainer, share):
        return trainer.epoch(self.rate * share)


class Towers:
    """Two towers, one of sparse and dense features, one of dense ones only."""

    def __init__(self, optimizer):
        self.rate = RATES[optimizer]
        self.options = {
            "user_layers": [6, 4], "item_layers": [4], "activation": "tanh", "dropout": 0.3, "batch_size": 16,
            "weight_decay": 0.05, "lowest": -9.0, "highest": 9.0, "seed": 3, **constants(optimizer),
        }  # fmt: skip

    def start(self, module):
        rng = np.random.default_rng(2)
        sparse = scipy.sparse.random_array((N_USERS, 9), density=0.2, rng=rng, format="csr", dtype=np.float32)
        of_users, of_items = drawn((N_USERS, 3), (N_ITEMS, 3))
        users = sparse.indptr.astype(np.int64), sparse.indices.astype(np.int32), sparse.data, 9, of_users
        none = np.zeros(N_ITEMS + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 0, of_items
        trainer = module.TwoTowerTrainer(*ratings(), N_ITEMS, users, none, **self.options)
        s, d, w, b, c, d2, e, s2 = drawn((9, 6), (3, 6), (6, 4), 6, 4, (3, 4), 4, (0, 4))
        trainer.set_parameters(((s, d, [w], [b, c]), (s2, d2, [], [e])))
        return trainer

    def epoch(self, trainer, share):
        return trainer.epoch(self.rate * share)


class Perceptrons:
    def __init__(self, optimizer):
        self.rate = RATES[optimizer]
        self.options = {
            "layers": [3, 4, 1], "activation": "tanh", "bias": True, "levels": [], "reg": 0.3, "batch_size": 2,
            "seed": 3, **constants(optimizer),
        }  # fmt: skip

    def start(self, _):
        features, *_ = drawn((N_ITEMS, 3))
        keys = np.arange(N_USERS, dtype=np.uint64)
        trainer = _host.PerceptronTrainer(*ratings(True), features, keys, **self.options)
        trainer.draw_parameters(np.full(2, -0.5, np.float32), np.full(2, 0.5, np.float32))
        return trainer

    def epoch(self, trainer, share):
        return trainer.epoch(self.rate * share)


CASES = {
    "sgd": Factors("SgdTrainer"),
    "sgd logistic, biases of items": Factors("SgdTrainer", cost="logistic", user_bias=False),
    "sgd, no biases": Factors("SgdTrainer", user_bias=False, item_bias=False),
    "als": Factors("AlsTrainer"),
    "als by conjugate gradients": Factors("AlsTrainer", cg_steps=2),
    "als, biases of users": Factors("AlsTrainer", cg_steps=2, item_bias=False),
    "gradient, biases of users": Factors("GradientTrainer", "momentum", item_bias=False, batch_size=16),
    **{f"gradient {name}": Factors("GradientTrainer", name, batch_size=16) for name in OPTIMIZERS},
    **{f"gradient {name}, whole": Factors("GradientTrainer", name) for name in OPTIMIZERS},
    **{f"autoencoder {name}": Autoencoders(name) for name in OPTIMIZERS},
    "autoencoder around centres": Autoencoders("adam", rated_output=True, refeeding=0),
    "autoencoder tied": Autoencoders("momentum", tied=True, rated_input=0.0, refeeding=0),
    **{f"two-tower {name}": Towers(name) for name in OPTIMIZERS},
    **{f"perceptron {name}": Perceptrons(name) for name in OPTIMIZERS},
}


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        assert array.tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize("best", [False, True])
def test_trainer_state_goes_on_to_the_same_bits(backend, case, best):
    first = case.start(backend)
    for share in (1.0, 0.5):
        case.epoch(first, share)
        if best and share == 1.0:
            first.save_best()
    state = first.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    second = case.start(backend)
    case.epoch(second, 0.7)  # which leaves no trace
    second.save_best()
    second.set_state(state)
    assert_equal(second.get_state(), kept)
    assert [case.epoch(first, share) for share in (0.5, 0.25)] == [case.epoch(second, share) for share in (0.5, 0.25)]
    assert_equal(first.get_state(), second.get_state())
    assert_equal(state, kept)
    if hasattr(first, "penalty"):
        assert first.penalty() == second.penalty()
    if not best:
        with pytest.raises(RuntimeError, match="nothing was saved"):
            second.restore_best()
        return
    for trainer in (first, second):
        trainer.restore_best()
        case.epoch(trainer, 0.25)
    assert_equal(first.get_state(), second.get_state())


def test_trainer_state_is_not_that_of_the_start(backend, case):
    trainer = case.start(backend)
    state = trainer.get_state()
    assert all(array.ndim == 1 and array.dtype in (np.float32, np.float64, np.int64) for array in state.values())
    case.epoch(trainer, 1.0)
    assert any(array.tobytes() != state[name].tobytes() for name, array in trainer.get_state().items())


def without(state, name):
    return {key: array for key, array in state.items() if key != name}


@pytest.mark.parametrize(
    "label", ["sgd", "als", "gradient momentum", "autoencoder adam", "two-tower momentum", "perceptron adam"]
)
def test_trainer_state_damaged_ones_are_refused_by_name_and_change_nothing(backend, label):
    trainer = CASES[label].start(backend)
    CASES[label].epoch(trainer, 1.0)
    trainer.save_best()
    state = trainer.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    damaged = []
    for name, array in state.items():
        damaged.append((without(state, name), ValueError, f"state must have the array '{name}'"))
        if array.size == 0:
            continue
        n, kind = array.size, array.dtype
        changed = [
            (array[:-1], f"{name} must have {n} entries; got {n - 1}"),
            (array.astype(np.float16), f"{name} must have dtype {kind}; got float16"),
            (array.byteswap().view(kind.newbyteorder()), f"{name} must have dtype {kind}; got >"),
            (list(array), f"{name} must be a NumPy array"),
            (array.reshape(1, -1), f"{name} must be C-contiguous and have 1 dimension"),
        ]
        damaged += [({**state, name: other}, ValueError, message) for other, message in changed]
        if array.size > 1:
            damaged.append(({**state, name: np.repeat(array, 2)[::2]}, ValueError, f"{name} must be C-contiguous"))
        if array.dtype == np.int64:
            damaged.append(({**state, name: array - 2**40}, ValueError, rf"{name} must lie in \[0, .*; got -"))
            damaged.append(({**state, name: array | np.int64(2**62 + 1)}, ValueError, f"{name} must lie in"))
    damaged += [
        ({**state, "more": np.zeros(2, np.float32)}, ValueError, "state must not have the array 'more'"),
        ({**state, "saved": np.int64([0])}, ValueError, r"state must not have the array '.*\.best'"),
        ({**state, "saved": np.int64([2])}, ValueError, r"saved must lie in \[0, 1\]; got 2 at entry 0"),
        ({}, ValueError, "state must have the array"),
        ([], TypeError, "state must be a dict; got list"),
    ]
    for given, error, message in damaged:
        with pytest.raises(error, match=f"Trainer.set_state: {message}"):
            trainer.set_state(given)
        assert_equal(trainer.get_state(), kept)
