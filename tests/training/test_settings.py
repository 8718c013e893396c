"""Trainers take their settings by keyword: unknown ones, missing ones and wrong types are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from fastcf import _host

FACTORS = {
    "n_factors": 2, "reg": 0.1, "reg_exponent": 1.0, "user_bias": True, "item_bias": True, "user_bias_reg": 0.1,
    "item_bias_reg": 0.1, "lowest": 0.0, "highest": 5.0, "seed": 0,
}  # fmt: skip
CSR = np.array([0, 1, 2], np.int64), np.array([0, 1], np.int32), np.array([1, 2], np.float32)
BY_ITEM = dict(zip(("item_indptr", "item_users", "item_values"), CSR, strict=True))
AUTOENCODER = {
    "layers": [3], "activation": "tanh", "output_activation": "identity", "tied": False, "batch_size": 2,
    "lowest": 0.0, "highest": 5.0, "seed": 0,
}  # fmt: skip
FEATURES = np.zeros(3, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 0, np.ones((2, 4), np.float32)
TOWERS = {
    "user_layers": [3], "item_layers": [3], "activation": "tanh", "batch_size": 2, "lowest": 0.0, "highest": 5.0,
    "seed": 0,
}  # fmt: skip
TRAINERS = {
    "SgdTrainer": ((*CSR, 2), FACTORS),
    "GradientTrainer": ((*CSR, 2), FACTORS),
    "AlsTrainer": ((*CSR, 2), {**FACTORS, **BY_ITEM}),
    "AutoencoderTrainer": ((*CSR, CSR[2], 2), AUTOENCODER),
    "TwoTowerTrainer": ((*CSR, 2, FEATURES, FEATURES), TOWERS),
    "PerceptronTrainer": (
        (CSR[0], CSR[1], np.array([0, 1], np.float32), np.ones((2, 4), np.float32), np.zeros(2, np.uint64)),
        {"layers": [4, 1], "activation": "tanh", "bias": True, "levels": [], "reg": 0.1, "optimizer": "adam",
         "batch_size": 2, "seed": 0},
    ),
}  # fmt: skip


@pytest.fixture(params=list(TRAINERS))
def trainer(request, backend):
    """Return a function that makes a trainer with changed settings."""
    data, settings = TRAINERS[request.param]
    module = _host if request.param == "PerceptronTrainer" else backend

    def make(*without, **changes):
        kept = {name: value for name, value in settings.items() if name not in without}
        return getattr(module, request.param)(*data, **{**kept, **changes})

    make.name = request.param
    return make


def test_settings_of_every_trainer_are_taken(trainer):
    trainer(n_threads=2)


def test_settings_unknown_ones_are_refused_by_name(trainer):
    with pytest.raises(TypeError, match=rf"{trainer.name}: there is no setting 'momentun'; there are .*seed"):
        trainer(momentun=0.9)


def test_settings_missing_ones_are_refused_by_name(trainer):
    with pytest.raises(TypeError, match=f"{trainer.name}: seed must be given"):
        trainer("seed")


@pytest.mark.parametrize(
    ("value", "what"), [("1", "an int from 0 on; got '1'"), (1.0, "an int from 0 on"), (-1, "an int from 0 on; got -1"),
                        (True, "an int from 0 on; got a bool"), (None, "an int from 0 on; got None"),
                        (2**64, "an int from 0 on")],
)  # fmt: skip
def test_settings_of_another_type_are_refused_by_name(trainer, value, what):
    with pytest.raises(TypeError, match=f"{trainer.name}: seed must be {what}"):
        trainer(seed=value)


def test_settings_are_not_cut_to_another_type(backend):
    make = backend.AutoencoderTrainer
    data = (*CSR, CSR[2], 2)
    for name, value, what in (
        ("tied", 1, "a bool; got 1"), ("dropout", "0.5", "a float; got '0.5'"), ("activation", 3, "a str; got 3"),
        ("layers", 3, "a sequence of int; got 3"), ("layers", [1.5], r"a sequence of int; got \[1.5\]"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"AutoencoderTrainer: {name} must be {what}"):
            make(*data, **{**AUTOENCODER, name: value})


def test_settings_numpy_numbers_are_taken(backend):
    changed = {"n_factors": np.int32(2), "reg": np.float32(0.5), "item_bias": np.bool_(True), "seed": np.uint64(2**63)}
    backend.SgdTrainer(*CSR, 2, **{**FACTORS, **changed})
