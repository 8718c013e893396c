"""The native autoencoder against the same network in PyTorch: dense layers, automatic gradients, PyTorch's optimisers.

Both compute in float32 and sum in different orders. A sum of n terms is then off by about √n 6e-8 of its terms' size:
here losses differ by less than 1e-7 of themselves and weights, which are below 2, by less than 2e-7 after twenty steps.
The tolerance leaves room for other orders of other libraries, and for Adam, whose steps are gradients over their own
size: where one is nearly zero, rounding chooses the direction.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastcf.optimizers import as_optimizer
from reference_autoencoder import cast, draw, flat, rebuilt, shuffled

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install fastcf[torch]")

# It imports torch itself, so it comes after the skip.
from torch_autoencoder import DenseAutoencoder, DenseBatches, masked_mse, multinomial_cost, parameter_groups  # noqa: E402

SEED, BATCH, EPOCHS = 11, 8, 4  # of five batches: twenty steps
RATES = {"momentum": 0.01, "adam": 1e-3}
TOLERANCE = 1e-5


def rows_by_user(every_batch_touches_all):
    """Return 40 users' ratings of 30 items as CSR rows, and how many items there are.

    Under Adam, rows of weights whose item is not in a batch stand still, and so does their count of steps; PyTorch's
    dense Adam moves them by its averages. The two agree where every batch touches every item.
    """
    rng = np.random.default_rng(3)
    n_users, n_items = EPOCHS * 10, 30
    mask = rng.random((n_users, n_items)) < (0.9 if every_batch_touches_all else 0.2)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
    values = rng.integers(1, 6, int(mask.sum())).astype(np.float32)
    for epoch in range(EPOCHS):
        for rows in shuffled(n_users, SEED, epoch).reshape(-1, BATCH):
            assert mask[rows].any(0).all() == every_batch_touches_all
    return indptr, np.nonzero(mask)[1].astype(np.int32), values, n_items


def labels_of(values):
    """Return labels of ratings, and log-odds to begin with."""
    return (values >= 3) * 1.0, 0.3 * (values - 3)


def masked_log_loss(predicted, x, mask, n):
    """Return the mean of twice the logistic cost over the known entries."""
    labels, offsets = labels_of(x)
    costs = torch.nn.functional.binary_cross_entropy_with_logits(predicted + offsets, labels, reduction="none")
    return 2 * (costs * mask).sum() / n


def train_pytorch(data, parameters, layers, activation, optimizer, weight_decay, rated_input, cost):
    n_users = len(data[0]) - 1
    model = DenseAutoencoder(parameters, layers, activation)
    groups = parameter_groups(model, weight_decay)
    if optimizer == "momentum":
        stepper = torch.optim.SGD(groups, lr=RATES[optimizer], momentum=0.9)
    else:
        stepper = torch.optim.Adam(groups, lr=RATES[optimizer], betas=(0.9, 0.999), eps=1e-8)
    make_batch, losses = DenseBatches(*data, BATCH), []
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in shuffled(n_users, SEED, epoch).reshape(-1, BATCH):
            x, mask, n = make_batch(rows)
            stepper.zero_grad()
            given = rated_input * mask / mask.sum(1, keepdim=True).sqrt() if rated_input else None
            loss = (masked_mse if cost == "squared" else masked_log_loss)(model(x, given), x, mask, n)
            loss.backward()
            stepper.step()
            total += loss.item() * n
        losses.append(total)
    return model.parameters_as_ours(), losses


@pytest.mark.parametrize(("optimizer", "weight_decay"), [("momentum", 0.0), ("momentum", 0.02), ("adam", 0.0)])
@pytest.mark.parametrize(
    ("tied", "rated_input", "cost"),
    [(False, 0.0, "squared"), (True, 0.0, "squared"), (False, 2.0, "squared"), (False, 2.0, "logistic")],
)
@pytest.mark.parametrize(("layers", "activation"), [((16, 12, 20), "selu"), ((24,), "sigmoid")])
def test_autoencoder_learns_what_pytorch_learns(
    backend, layers, activation, tied, rated_input, cost, optimizer, weight_decay
):
    data = rows_by_user(every_batch_touches_all=optimizer == "adam")
    indptr, indices, values, n_items = data
    parameters = cast(draw(np.random.default_rng(5), n_items, layers, tied, 0.2, rated_input > 0), np.float32)
    targets, offsets = values, None
    if cost == "logistic":
        targets, offsets = (array.astype(np.float32) for array in labels_of(values))
    trainer = backend.AutoencoderTrainer(
        indptr, indices, values, targets, n_items, offsets=offsets, cost=cost, layers=layers, activation=activation,
        output_activation="identity",
        tied=tied, **as_optimizer(optimizer).constants.options,
        rated_input=rated_input, weight_decay=weight_decay, batch_size=BATCH, lowest=1.0, highest=5.0, seed=SEED,
        n_threads=2,
    )  # fmt: skip
    trainer.set_parameters(parameters)
    losses = [trainer.epoch(RATES[optimizer]) for _ in range(EPOCHS)]
    learnt = rebuilt([np.empty_like(array) for array in flat(parameters)], parameters)
    trainer.get_parameters(learnt)

    options = layers, activation, optimizer, weight_decay, rated_input, cost
    wanted, wanted_losses = train_pytorch(data, parameters, *options)
    assert wanted_losses[-1] < (0.95 if cost == "squared" else 0.99) * wanted_losses[0]
    np.testing.assert_allclose(losses, wanted_losses, rtol=TOLERANCE)
    for mine, theirs in zip(flat(learnt), flat(wanted), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("optimizer", "weight_decay"), [("momentum", 0.02), ("adam", 0.02)])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("layers", "activation"), [((16, 12, 20), "selu"), ((24,), "tanh")])
def test_autoencoder_of_choices_learns_what_pytorch_learns(backend, layers, activation, tied, optimizer, weight_decay):
    """With all items in the softmax every row of weights takes every step, as PyTorch's do."""
    indptr, indices, values, n_items = rows_by_user(every_batch_touches_all=False)
    row_of_entry = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    inputs = (values / np.sqrt(np.bincount(row_of_entry, values**2))[row_of_entry]).astype(np.float32)
    parameters = cast(draw(np.random.default_rng(5), n_items, layers, tied, 0.2), np.float32)
    trainer = backend.AutoencoderTrainer(
        indptr, indices, inputs, values, n_items, cost="multinomial", layers=layers, activation=activation,
        output_activation="identity", tied=tied, **as_optimizer(optimizer).constants.options,
        weight_decay=weight_decay, batch_size=BATCH, lowest=1.0, highest=5.0, seed=SEED, n_threads=2,
    )  # fmt: skip
    trainer.set_parameters(parameters)
    rate = RATES[optimizer] / 10  # a row's cost is the sum over its choices
    losses = [trainer.epoch(rate) for _ in range(EPOCHS)]
    learnt = rebuilt([np.empty_like(array) for array in flat(parameters)], parameters)
    trainer.get_parameters(learnt)

    model, wanted_losses = DenseAutoencoder(parameters, layers, activation), []
    groups = parameter_groups(model, weight_decay)
    adam = {"lr": rate, "betas": (0.9, 0.999), "eps": 1e-8}
    stepper = (
        torch.optim.SGD(groups, lr=rate, momentum=0.9) if optimizer == "momentum" else torch.optim.Adam(groups, **adam)
    )
    fed, asked = (DenseBatches(indptr, indices, array, n_items, BATCH) for array in (inputs, values))
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in shuffled(len(indptr) - 1, SEED, epoch).reshape(-1, BATCH):
            stepper.zero_grad()
            loss = multinomial_cost(model(fed(rows)[0]), asked(rows)[0])
            loss.backward()
            stepper.step()
            total += loss.item() * BATCH
        wanted_losses.append(total)
    assert wanted_losses[-1] < wanted_losses[0]
    np.testing.assert_allclose(losses, wanted_losses, rtol=TOLERANCE)
    for mine, theirs in zip(flat(learnt), flat(model.parameters_as_ours()), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)
