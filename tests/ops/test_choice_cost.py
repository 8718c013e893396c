"""The costs of choices beside drawn items, and their gradients, against their reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_sampled import sampled_cost

COSTS = ["bpr", "logistic", "softmax"]


@settings(max_examples=40)
@given(
    n=st.sampled_from([0, 1, 31, 33, 1025]),
    k=st.sampled_from([1, 8, 33]),
    n_drawn=st.sampled_from([1, 4]),
    cost=st.sampled_from(COSTS),
    dtype=st.sampled_from([np.float32, np.float64]),
    item_bias=st.booleans(),
    n_threads=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_choice_cost_and_gradient_match_reference(backend, n, k, n_drawn, cost, dtype, item_bias, n_threads, seed):
    random = np.random.default_rng(seed)
    users, items = random.integers(0, 9, n).astype(np.int32), random.integers(0, 7, n).astype(np.int32)
    drawn = random.integers(-1, 7, (n, n_drawn)).astype(np.int32)
    weights = random.uniform(0.5, 2, n).astype(dtype)
    correction = random.uniform(0.5, 2, 7).astype(dtype)
    P, Q, b = (random.normal(0, 1, shape).astype(dtype) for shape in ((9, k), (7, k), 7))
    gradients = [np.full_like(array, np.nan) for array in (P, Q, b)]
    penalties = {"reg": 0.3, "reg_exponent": 0.5}
    bias = b if item_bias else None
    data = (users, items, drawn, weights, correction)
    total = backend.choice_cost(
        *data, P, Q, bias, cost=cost, user_gradient=gradients[0], item_gradient=gradients[1],
        bias_gradient=gradients[2] if item_bias else None, n_threads=n_threads, **penalties,
    )  # fmt: skip
    wanted, slopes = sampled_cost(
        users, items, drawn, weights, correction, P, Q, b if item_bias else np.zeros(7), cost=cost, **penalties
    )
    single = dtype == np.float32
    tolerance = {"rtol": 2e-5, "atol": 2e-5 * max(n, 1) ** 0.5} if single else {"rtol": 1e-10, "atol": 1e-10}
    assert total == pytest.approx(wanted, rel=tolerance["rtol"], abs=1e-6)
    for have, want in zip(gradients[: 2 + item_bias], slopes, strict=False):
        np.testing.assert_allclose(have, want, **tolerance)
    assert backend.choice_cost(*data, P, Q, bias, cost=cost, n_threads=2, **penalties) == total


def test_choice_cost_bad_input_raises(backend):
    one = np.zeros(1, np.int32)
    good = {
        "users": one, "items": one, "drawn": one[:, None], "weights": np.ones(1), "correction": np.ones(6),
        "user_factors": np.ones((5, 4)), "item_factors": np.ones((6, 4)), "cost": "bpr",
    }  # fmt: skip
    for wrong, message in [
        ({"users": one + 5}, r"choice_cost: users must lie in \[0, 5\); got 5 at entry 0"),
        ({"drawn": one[:, None] - 2}, r"drawn must lie in \[-1, 6\); got -2 at row 0"),
        ({"weights": np.ones(2)}, "must have equal lengths"),
        ({"item_factors": np.ones((6, 3))}, "item_factors must have 4 columns"),
        ({"correction": np.ones(5)}, "correction must have 6 entries; got 5"),
        ({"user_gradient": np.ones((5, 4))}, "user_gradient and item_gradient must be given together"),
        ({"cost": "hinge"}, "cost"),
    ]:
        with pytest.raises(ValueError, match=message):
            backend.choice_cost(**{**good, **wrong})
    with pytest.raises(ValueError, match="bias_gradient must be given"):
        backend.choice_cost(
            one, one, one[:, None], np.ones(1), np.ones(6), np.ones((5, 4)), np.ones((6, 4)), np.ones(6), cost="bpr",
            user_gradient=np.ones((5, 4)), item_gradient=np.ones((6, 4)),
        )  # fmt: skip
