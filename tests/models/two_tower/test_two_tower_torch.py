"""The native two towers against the same network in PyTorch: dense layers, automatic gradients, PyTorch's optimisers.

Both compute in float32 and sum in different orders; see test_autoencoder_torch.py for what that makes of a sum. PyTorch
sends each rating's user and item through the towers, ours each distinct one: gradients are the same sums in another
order.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastcf.optimizers import as_optimizer
from reference_autoencoder import shuffled
from reference_two_tower import RATING_STREAM, cast, draw, flat, rebuilt

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install fastcf[torch]")

# It imports torch itself, so it comes after the skip.
from torch_two_tower import TwoTowers, parameter_groups  # noqa: E402

SEED, BATCH, EPOCHS, CENTRE = 11, 40, 4, 3.2  # of five batches: twenty steps
RATES = {"momentum": 0.01, "adam": 1e-3}
TOLERANCE = 2e-5


def train_pytorch(data, towers, features, activation, length, optimizer, weight_decay, distinct):
    users, items, values = data
    arrays = [[tower[1], *tower[2], *tower[3]] for tower in towers]
    model = TwoTowers(arrays, features, activation, length, CENTRE, distinct)
    groups = parameter_groups(model, weight_decay)
    if optimizer == "momentum":
        stepper = torch.optim.SGD(groups, lr=RATES[optimizer], momentum=0.9)
    else:
        stepper = torch.optim.Adam(groups, lr=RATES[optimizer], betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in shuffled(len(values), SEED, epoch, RATING_STREAM).reshape(-1, BATCH):
            rows = [torch.from_numpy(side[batch].astype(np.int64)) for side in (users, items)]
            stepper.zero_grad()
            loss = 0.5 * (model(*rows) - torch.from_numpy(values[batch])).square().mean()
            loss.backward()
            stepper.step()
            total += loss.item() * BATCH
        losses.append(total)
    learnt = [(tower[0], arrays_[0], arrays_[1 : len(tower[3])], arrays_[len(tower[3]) :])
              for tower, arrays_ in zip(towers, model.parameters_as_ours(), strict=True)]  # fmt: skip
    return learnt, losses


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize(("optimizer", "weight_decay"), [("momentum", 0.02), ("adam", 0.01)])
@pytest.mark.parametrize(("activation", "length"), [("selu", 1.5), ("tanh", 0.0)])
def test_two_tower_learns_what_pytorch_learns(backend, activation, length, optimizer, weight_decay, distinct):
    rng = np.random.default_rng(3)
    pairs = np.sort(rng.choice(30 * 25, 5 * BATCH, replace=False))
    data = pairs // 25, (pairs % 25).astype(np.int32), rng.integers(1, 6, pairs.size).astype(np.float32)
    features = [rng.standard_normal((rows, n)).astype(np.float32) for rows, n in ((30, 7), (25, 4))]
    layers = [16, 12, 8], [10, 8]
    towers = cast([draw(rng, 0, x.shape[1], sizes) for x, sizes in zip(features, layers, strict=True)], np.float32)
    name, *constants = as_optimizer(optimizer).constants
    nothing = [(np.zeros(len(x) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 0) for x in features]
    trainer = backend.TwoTowerTrainer(
        np.searchsorted(data[0], np.arange(31)).astype(np.int64), data[1], data[2], 25,
        *((*given, x) for given, x in zip(nothing, features, strict=True)), user_layers=layers[0],
        item_layers=layers[1], activation=activation, length=length, centre=CENTRE, optimizer=name,
        **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)), weight_decay=weight_decay,
        batch_size=BATCH, lowest=1.0, highest=5.0, seed=SEED, n_threads=1,
    )  # fmt: skip
    trainer.set_parameters(towers)
    losses = [trainer.epoch(RATES[optimizer]) for _ in range(EPOCHS)]
    learnt = rebuilt([np.empty_like(array) for array in flat(towers)], towers)
    trainer.get_parameters(learnt)

    wanted, wanted_losses = train_pytorch(data, towers, features, activation, length, optimizer, weight_decay, distinct)
    assert wanted_losses[-1] < 0.98 * wanted_losses[0]
    np.testing.assert_allclose(losses, wanted_losses, rtol=TOLERANCE)
    for mine, theirs in zip(flat(learnt), flat(wanted), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)


def in_batch_cost(users, items, indptr, chosen, offsets):
    """Return the softmax cost of a batch's choices by masks and logarithms of sums, as PyTorch differentiates them."""
    scores = users @ items.T
    taken = torch.zeros_like(scores, dtype=torch.bool)
    owner = torch.repeat_interleave(torch.arange(len(users)), torch.diff(indptr))
    taken[owner, chosen] = True
    rest = torch.logsumexp((scores + offsets).masked_fill(taken, -torch.inf), 1)
    return torch.nn.functional.softplus(rest[owner] - scores[owner, chosen]).sum()


@pytest.mark.parametrize(("optimizer", "weight_decay"), [("momentum", 0.02), ("adam", 0.01)])
@pytest.mark.parametrize("length", [1.5, 0.0])
def test_two_tower_learns_of_choices_what_pytorch_learns(backend, length, optimizer, weight_decay):
    rng = np.random.default_rng(3)
    pairs = np.sort(rng.choice(30 * 25, 5 * BATCH, replace=False))
    users, items = pairs // 25, (pairs % 25).astype(np.int32)
    features = [rng.standard_normal((rows, n)).astype(np.float32) for rows, n in ((30, 7), (25, 4))]
    layers = [16, 12, 8], [10, 8]
    towers = cast([draw(rng, 0, x.shape[1], sizes) for x, sizes in zip(features, layers, strict=True)], np.float32)
    offsets = rng.uniform(0, 2, (2, 25)).astype(np.float32)
    name, *constants = as_optimizer(optimizer).constants
    nothing = [(np.zeros(len(x) + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 0) for x in features]
    trainer = backend.TwoTowerTrainer(
        np.searchsorted(users, np.arange(31)).astype(np.int64), items, np.ones(users.size, np.float32), 25,
        *((*given, x) for given, x in zip(nothing, features, strict=True)), user_layers=layers[0],
        item_layers=layers[1], activation="tanh", length=length, cost="softmax", offsets=offsets, optimizer=name,
        **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)), weight_decay=weight_decay,
        batch_size=BATCH, lowest=0.0, highest=0.0, seed=SEED, n_threads=1,
    )  # fmt: skip
    trainer.set_parameters(towers)
    losses = [trainer.epoch(RATES[optimizer]) for _ in range(EPOCHS)]
    learnt = rebuilt([np.empty_like(array) for array in flat(towers)], towers)
    trainer.get_parameters(learnt)

    model = TwoTowers([[t[1], *t[2], *t[3]] for t in towers], features, "tanh", length, 0.0)
    groups = parameter_groups(model, weight_decay)
    stepper = (
        torch.optim.SGD(groups, lr=RATES[optimizer], momentum=0.9)
        if optimizer == "momentum"
        else torch.optim.Adam(groups, lr=RATES[optimizer], betas=(0.9, 0.999), eps=1e-8)
    )
    wanted_losses = []
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in shuffled(users.size, SEED, epoch, RATING_STREAM).reshape(-1, BATCH):
            batch = np.sort(batch)
            rows, owner = np.unique(users[batch], return_inverse=True)
            columns, chosen = np.unique(items[batch], return_inverse=True)
            indptr = torch.from_numpy(np.searchsorted(owner, np.arange(rows.size + 1)))
            vectors = [
                model.vectors(side, torch.from_numpy(r.astype(np.int64))) for side, r in enumerate((rows, columns))
            ]
            stepper.zero_grad()
            loss = (
                in_batch_cost(*vectors, indptr, torch.from_numpy(chosen), torch.from_numpy(offsets[0][columns])) / BATCH
            )
            loss.backward()
            stepper.step()
            total += loss.item() * BATCH
        wanted_losses.append(total)
    assert wanted_losses[-1] < 0.99 * wanted_losses[0]
    np.testing.assert_allclose(losses, wanted_losses, rtol=TOLERANCE)
    wanted = [array for arrays in model.parameters_as_ours() for array in arrays]
    mine = [array for tower in learnt for array in (tower[1], *tower[2], *tower[3])]
    if length == 0:  # the last bias of items adds one number to all scores of a user: its slope is rounding alone
        mine, wanted = mine[:-1], wanted[:-1]
    for got, reference in zip(mine, wanted, strict=True):
        np.testing.assert_allclose(got, reference, rtol=0, atol=5 * TOLERANCE)
