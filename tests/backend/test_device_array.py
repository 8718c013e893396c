from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("shape", [(0,), (5,), (0, 3), (4, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_device_array_comes_back_as_it_was(backend, shape, dtype):
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    held = backend.DeviceArray(array)
    assert held.shape == shape
    assert held.dtype == dtype
    np.testing.assert_array_equal(held.numpy(), array)
    assert held.numpy().dtype == dtype


def test_device_array_serves_where_an_array_does(backend):
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((33, 5)).astype(np.float32), rng.random(33).astype(np.float32)
    held = backend.DeviceArray(rows)
    assert backend.penalty(held, backend.DeviceArray(weights)) == backend.penalty(rows, weights)
    users, items = np.int32([0, 3, -1]), np.int32([2, 32, 4])
    np.testing.assert_array_equal(
        backend.predict_pairs(users, items, held, held), backend.predict_pairs(users, items, rows, rows)
    )


def test_device_array_bad_input_raises(backend):
    rows = np.ones((3, 2), np.float32)
    with pytest.raises(TypeError, match="DeviceArray: array must have dtype float32 or float64; got int64"):
        backend.DeviceArray(np.arange(3))
    with pytest.raises(ValueError, match="DeviceArray: array must have 1 or 2 dimensions; got 3"):
        backend.DeviceArray(np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match="DeviceArray: array must be C-contiguous"):
        backend.DeviceArray(rows.T)
    with pytest.raises(TypeError, match="penalty: rows must have dtype float32; got float64"):
        backend.penalty(backend.DeviceArray(rows.astype(np.float64)), np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"penalty: rows must have 2 dimension\(s\); got 1"):
        backend.penalty(backend.DeviceArray(rows[0]), np.ones(3, np.float32))
    with pytest.raises(TypeError, match="must be a NumPy array; got DeviceArray"):  # what the host must look into
        backend.predict_pairs(backend.DeviceArray(rows[0]), np.int32([0]), rows, rows)
