"""Checkpoints of a blend: killed while a member is trained or trained again, it goes on to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import fastcf
from fastcf.models.blend import fitting
from fastcf.training.checkpoint import Checkpoint
from trained_models import bits, split

TRAIN, HELD_OUT = split()
MF = fastcf.MatrixFactorization
SMALL = {"n_epochs": 3}


class KilledError(Exception):
    """The end of a process."""


@pytest.fixture(autouse=True)
def few_folds(monkeypatch):
    """Hold out two parts: more of them add nothing but time."""
    monkeypatch.setattr(fitting, "_MOST_FOLDS", 2)


@pytest.fixture
def writes(monkeypatch):
    """The number of checkpoints that are written, and after which the training is killed."""

    class Writes:
        n, last = 0, None

    own = Checkpoint.write

    def write(checkpoint, position):
        own(checkpoint, position)
        Writes.n += 1
        if Writes.last is not None and Writes.n >= Writes.last:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "write", write)
    return Writes


def blend(**params):
    inner = fastcf.Blend([MF(2, reg=1.0, **SMALL), fastcf.BiasModel()], refit=False)
    als = MF(4, solver="als", reg=1.0, **SMALL)
    members = [("a/b", MF(4, **SMALL)), ("als", als), ("inner", inner), fastcf.BiasModel()]
    return fastcf.Blend(members, **{"random_state": 0, **params})


def all_bits(model):
    found = bits(model)
    parts = model.models_ if isinstance(model, fastcf.Blend) else {}
    return found | {(name, key): value for name, part in parts.items() for key, value in all_bits(part).items()}


@pytest.mark.parametrize("validated", [False, True])
def test_killed_blend_goes_on_to_the_same_bits(validated, tmp_path, writes):
    options = {"validation": HELD_OUT} if validated else {}
    whole = clone(blend()).fit(TRAIN, checkpoint=tmp_path / "whole", **options)
    total = writes.n
    assert all_bits(whole) == all_bits(clone(blend()).fit(TRAIN, **options))  # a checkpoint changes nothing
    path = tmp_path / "killed"
    for last in (2, 4, 5) if validated else (2, 9, 18):  # of what was not written before: the last in a second training
        writes.n, writes.last = 0, last
        with pytest.raises(KilledError):
            clone(blend()).fit(TRAIN, checkpoint=path, **options)
    writes.n, writes.last = 0, None
    again = clone(blend()).fit(TRAIN, checkpoint=path, **options)
    assert 0 < writes.n < total
    assert all_bits(again) == all_bits(whole)
    assert np.array_equal(again.predict(HELD_OUT), whole.predict(HELD_OUT))
    writes.n = 0
    once_more = clone(blend()).fit(TRAIN, checkpoint=path, **options)
    assert writes.n <= 4  # the files that say what the blends are: the whole, and those inside of each training
    assert all_bits(once_more) == all_bits(whole)


def test_seed_that_is_drawn_is_kept(tmp_path, writes):
    writes.last = 4
    with pytest.raises(KilledError):
        blend(random_state=None).fit(TRAIN, checkpoint=tmp_path)
    writes.last = None
    first = blend(random_state=None).fit(TRAIN, checkpoint=tmp_path)
    again = blend(random_state=None).fit(TRAIN, checkpoint=tmp_path)
    assert all_bits(first) == all_bits(again)


def test_checkpoint_of_another_blend_is_refused(tmp_path):
    small = fastcf.Blend([MF(2, n_epochs=1)], random_state=0)
    small.fit(TRAIN, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"Blend.fit: checkpoint must be of the same training; .* has other reg"):
        clone(small).set_params(reg=1.0).fit(TRAIN, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"has other ratings"):
        clone(small).fit(HELD_OUT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"has other learnt_from, held_out"):
        clone(small).set_params(refit=True).fit(TRAIN, validation=HELD_OUT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"has other models"):
        fastcf.Blend([MF(2, n_epochs=1), fastcf.BiasModel()], random_state=0).fit(TRAIN, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"MatrixFactorization.fit: checkpoint must be of the same .* n_factors"):
        fastcf.Blend([MF(3, n_epochs=1)], random_state=0).fit(TRAIN, checkpoint=tmp_path)


def test_checkpoint_without_effect_is_refused(tmp_path):
    bias = fastcf.BiasModel()
    with pytest.raises(ValueError, match=r"Blend.fit: checkpoint must be None where no member is trained in epochs"):
        fastcf.Blend([bias, ("b", fastcf.Blend([bias]))]).fit(TRAIN, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"Blend.fit: checkpoint must be None with fit_members=False"):
        fastcf.Blend([bias.fit(TRAIN)], fit_members=False).fit(HELD_OUT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"Blend.fit: checkpoint_every needs a checkpoint"):
        fastcf.Blend([MF(2)]).fit(TRAIN, checkpoint_every=2)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"Blend.fit: checkpoint of a blend must be a folder"):
        fastcf.Blend([MF(2)]).fit(TRAIN, checkpoint=tmp_path / "file")
