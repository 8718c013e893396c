"""The trainer of alternating least squares: sweeps of als_update over ratings that it keeps."""

from __future__ import annotations

import numpy as np
import pytest

N_USERS, N_ITEMS, K = 40, 25, 6
REG, EXPONENT, USER_BIAS_REG, ITEM_BIAS_REG = 0.7, 0.5, 1.5, 2.5


class Setting:
    """Ratings both ways, parameters, and what the trainer and als_update take."""

    def __init__(self, *, weighted=False, offset=False, bias=(True, True)):
        rng = np.random.default_rng(0)
        rated = rng.random((N_USERS, N_ITEMS)) < 0.3
        rated[3] = rated[:, 5] = False
        users, items = np.nonzero(rated)
        self.values = (rng.standard_normal(users.size) + 3).astype(np.float32)
        self.weights = rng.uniform(0.5, 2, users.size).astype(np.float32) if weighted else None
        self.item_offset = rng.standard_normal(N_ITEMS).astype(np.float32) if offset else None
        self.bias = bias
        entries = np.lexsort((users, items))
        by_user = np.concatenate([[0], rated.sum(axis=1).cumsum()]).astype(np.int64)
        by_item = np.concatenate([[0], rated.sum(axis=0).cumsum()]).astype(np.int64)
        self.users, self.items = users.astype(np.int32), items.astype(np.int32)
        self.by_user = by_user, self.items, self.values
        self.by_item = by_item, self.users[entries], self.values[entries]
        self.item_weights = None if self.weights is None else self.weights[entries]
        self.parameters = [rng.standard_normal(shape).astype(np.float32) for shape in ((N_USERS, K), (N_ITEMS, K))]
        self.parameters += [np.zeros(n, np.float32) for n in (N_USERS, N_ITEMS)]

    def trainer(self, backend, **options):
        names = ("item_indptr", "item_users", "item_values")
        arguments = {
            "weights": self.weights, "item_offset": self.item_offset, "global_offset": 2.5, "n_factors": K,
            "reg": REG, "reg_exponent": EXPONENT, "user_bias": self.bias[0], "item_bias": self.bias[1],
            "user_bias_reg": USER_BIAS_REG, "item_bias_reg": ITEM_BIAS_REG, "lowest": 1.0, "highest": 5.0, "seed": 0,
            "item_weights": self.item_weights, **dict(zip(names, self.by_item, strict=True)), **options,
        }  # fmt: skip
        trainer = backend.AlsTrainer(*self.by_user, N_ITEMS, **arguments)
        trainer.set_parameters(*self.parameters)
        return trainer

    def got(self, trainer):
        result = [np.empty_like(array) for array in self.parameters]
        trainer.get_parameters(*result)
        return result

    def sweep(self, backend, P, Q, bu, bi, **options):
        """Solve for users, then for items, in place."""
        options |= {"reg": REG, "reg_exponent": EXPONENT, "offset": 0.0 if self.item_offset is not None else 2.5}
        bu, bi = (b if wanted else None for b, wanted in zip((bu, bi), self.bias, strict=True))
        of_items = self.item_offset
        if self.bias[1]:
            of_items = bi if of_items is None else of_items + bi
        backend.als_update(
            *self.by_user, Q, P, bu, weights=self.weights, column_offset=of_items, bias_reg=USER_BIAS_REG, **options
        )
        backend.als_update(
            *self.by_item, P, Q, bi, weights=self.item_weights, row_offset=self.item_offset, column_offset=bu,
            bias_reg=ITEM_BIAS_REG, **options,
        )  # fmt: skip

    def predicted(self, P, Q, bu=0.0, bi=0.0):
        """Return the predictions of all pairs in float64."""
        offset = 2.5 if self.item_offset is None else self.item_offset
        return offset + np.reshape(bu, (-1, 1)) + bi + P.astype(np.float64) @ Q.T.astype(np.float64)


@pytest.mark.parametrize("cg_steps", [0, 2])
@pytest.mark.parametrize("bias", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("weighted", "offset"), [(False, False), (True, False), (True, True)])
def test_als_trainer_sweeps_are_those_of_als_update(backend, weighted, offset, bias, cg_steps):
    setting = Setting(weighted=weighted, offset=offset, bias=bias)
    trainer = setting.trainer(backend, cg_steps=cg_steps)
    expected = [array.copy() for array in setting.parameters]
    for _ in range(2):
        squared_error = trainer.epoch()
        setting.sweep(backend, *expected, cg_steps=cg_steps)
    got = setting.got(trainer)
    for array, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(array, wanted)
    errors = setting.predicted(*got)[setting.users, setting.items] - setting.values
    weights = 1 if setting.weights is None else setting.weights
    assert squared_error == pytest.approx((weights * errors**2).sum(), rel=1e-5)
    counts = np.bincount(setting.users, minlength=N_USERS), np.bincount(setting.items, minlength=N_ITEMS)
    penalty = sum(REG * (n**EXPONENT * (array**2).sum(axis=1)).sum() for n, array in zip(counts, got, strict=False))
    penalty += USER_BIAS_REG * (got[2] ** 2).sum() + ITEM_BIAS_REG * (got[3] ** 2).sum()
    assert trainer.penalty() == pytest.approx(0.5 * penalty, rel=1e-5)


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_als_trainer_validation_error_is_that_of_clipped_predictions(backend, offset, weighted):
    setting = Setting(offset=offset)
    trainer = setting.trainer(backend)
    trainer.epoch()
    users, items = np.int32([0, 7, 39, 2]), np.int32([24, 0, 3, 2])
    values = np.float32([1, 5, 3, 4])
    weights = np.float32([1, 0, 2, 3, 0.5]) if weighted else None
    unknown = np.int32(-1)
    trainer.set_validation(np.append(users, unknown), np.append(items, unknown), np.append(values, values[0]), weights)
    predicted = setting.predicted(*setting.got(trainer))[users, items]
    errors = np.clip(np.append(predicted, 2.5), 1, 5) - np.append(values, values[0])
    wanted = (errors**2 * (weights if weighted else 1)).sum()
    assert trainer.validation_squared_error() == pytest.approx(wanted, rel=1e-5)


def test_als_trainer_sample_error_is_not_clipped_and_same_for_any_threads(backend):
    setting = Setting()
    sums = []
    for n_threads in (1, 2):
        trainer = setting.trainer(backend, lowest=2.0, highest=3.0, n_threads=n_threads)
        trainer.set_sample(setting.users, setting.items, setting.values)
        trainer.epoch()
        sums.append(trainer.sample_squared_error())
    errors = setting.predicted(*setting.got(trainer))[setting.users, setting.items] - setting.values
    assert sums[0] == pytest.approx((errors**2).sum(), rel=1e-5)
    assert sums[1] == sums[0]
    with pytest.raises(ValueError, match=r"AlsTrainer.set_sample: users must lie in \[-1, 40\); got 40"):
        trainer.set_sample(np.int32([40]), np.int32([0]), np.float32([3]))


def test_als_trainer_best_parameters_come_back(backend):
    setting = Setting()
    trainer = setting.trainer(backend)
    with pytest.raises(RuntimeError, match=r"AlsTrainer.restore_best: nothing was saved"):
        trainer.restore_best()
    trainer.epoch()
    best = setting.got(trainer)
    trainer.save_best()
    trainer.epoch()
    assert not np.array_equal(setting.got(trainer)[0], best[0])
    trainer.restore_best()
    for array, wanted in zip(setting.got(trainer), best, strict=True):
        np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_factors": 0}, "n_factors must be positive; got 0"),
        ({"cost": "logistic"}, "cost must be 'squared'; got 'logistic'"),
        ({"cg_steps": -1}, "cg_steps must not be negative; got -1"),
        ({"item_indptr": np.zeros(0, np.int64)}, "item_indptr must have at least one entry; got 0"),
        ({"item_indptr": np.zeros(3, np.int64)}, r"the ratings by item must be as many, .* of 25\); got .* of 2"),
        ({"item_indptr": np.zeros(N_ITEMS + 1, np.int64)}, "indptr must end at the number of indices"),
        ({"item_users": np.zeros(3, np.int32)}, "item_values must have as many entries as item_users"),
        ({"item_users": np.full(Setting().users.size, N_USERS, np.int32)}, r"indices must lie in \[0, 40\)"),
        ({"item_weights": np.ones(3, np.float32)}, "item_weights must have as many entries as weights"),
        ({"weights": np.ones(3, np.float32)}, "weights must have"),
        ({"item_offset": np.ones(3, np.float32)}, "item_offset must have 25 entries; got 3"),
        ({"lowest": 6.0}, "lowest must not exceed highest; got 6 and 5"),
    ],
)
def test_als_trainer_bad_input_raises(backend, arguments, message):
    with pytest.raises(ValueError, match=f"AlsTrainer: {message}"):
        Setting().trainer(backend, **arguments)


def test_als_trainer_parameters_of_another_shape_raise(backend):
    setting = Setting()
    trainer = setting.trainer(backend)
    P, Q, bu, bi = setting.parameters
    with pytest.raises(ValueError, match=r"AlsTrainer.set_parameters: user_factors must have shape \(40, 6\)"):
        trainer.set_parameters(Q, Q, bu, bi)
    with pytest.raises(ValueError, match=r"AlsTrainer.get_parameters: item_bias must have 25 entries; got 40"):
        trainer.get_parameters(P, Q, bu, bu)
    with pytest.raises(ValueError, match=r"AlsTrainer.set_validation: users must lie in \[-1, 40\); got 40"):
        trainer.set_validation(np.int32([40]), np.int32([0]), np.float32([3]))
