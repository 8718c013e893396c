"""Native perceptrons against the same networks in PyTorch: automatic gradients and PyTorch's optimisers.

Both compute in float32 and sum in different orders: after twenty steps weights, which are below 2, differ by less than
1e-6. Adam's steps are gradients over their own size, so that where one is nearly zero rounding chooses the direction.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastcf import _host
from fastcf.optimizers import as_optimizer
from reference_perceptron import order, pack, unpack

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install fastcf[torch]")

SEED, BATCH, EPOCHS, N = 11, 8, 4, 40  # five batches an epoch: twenty steps
RATES = {"momentum": 0.05, "adam": 5e-3}
LEVELS = [1.0, 2.0, 3.0]


def train_pytorch(start, x, y, activation, optimizer, penalty, key):
    layers = []
    for weights, bias in start:
        layer = torch.nn.Linear(*weights.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, torch.nn.Tanh() if activation == "tanh" else torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers[:-1])  # the loss takes logits
    linear = layers[::2]
    groups = [
        {"params": [layer.weight for layer in linear], "weight_decay": penalty},
        {"params": [layer.bias for layer in linear], "weight_decay": 0.0},
    ]
    if optimizer == "momentum":
        stepper = torch.optim.SGD(groups, lr=RATES[optimizer], momentum=0.9)
    else:
        stepper = torch.optim.Adam(groups, lr=RATES[optimizer], betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in order(SEED, key, N, epoch).reshape(-1, BATCH):
            stepper.zero_grad()
            logits = model(torch.from_numpy(x[rows]))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, torch.from_numpy(y[rows]), reduction="sum"
            )
            (loss / BATCH).backward()
            stepper.step()
            total += loss.item()
        losses.append(total / N)
    learnt = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in linear]
    return learnt, losses


@pytest.mark.parametrize(("optimizer", "reg"), [("momentum", 0.0), ("momentum", 2.0), ("adam", 0.0), ("adam", 2.0)])
@pytest.mark.parametrize(
    ("hidden", "activation", "levels"), [((), "tanh", []), ((10,), "tanh", []), ((9, 6), "sigmoid", LEVELS)]
)
def test_perceptron_learns_what_pytorch_learns(hidden, activation, levels, optimizer, reg):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((N, 7)).astype(np.float32)
    ratings = (rng.choice(levels, N) if levels else rng.integers(0, 2, N)).astype(np.float32)
    y = (ratings[:, None] == np.float32(levels)).astype(np.float32) if levels else ratings[:, None]
    layers = [7, *hidden, y.shape[1]]
    layout = _host.perceptron_layout(layers, True)
    start = [
        (rng.normal(0, 0.4, shape).astype(np.float32), rng.normal(0, 0.2, shape[1]).astype(np.float32))
        for shape in itertools.pairwise(layers)
    ]
    name, *constants = as_optimizer(optimizer).constants
    trainer = _host.PerceptronTrainer(
        np.array([0, N]), np.arange(N, dtype=np.int32), ratings, x, np.array([123], np.uint64), layers=layers,
        activation=activation, bias=True, levels=levels, reg=reg, optimizer=name, batch_size=BATCH, seed=SEED,
        **dict(zip(("decay", "second_decay", "epsilon"), constants, strict=True)),
    )  # fmt: skip
    trainer.set_parameters(pack(start, layout, True)[None].astype(np.float32))
    losses = [trainer.epoch(RATES[optimizer])[1] for _ in range(EPOCHS)]
    row = np.empty((1, layout[0]), np.float32)
    trainer.get_parameters(row)

    wanted, wanted_losses = train_pytorch(start, x, y, activation, optimizer, reg / N, 123)
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5)
    for mine, theirs in zip(unpack(row[0], layers, layout, True), wanted, strict=True):
        for mine_part, their_part in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(mine_part, their_part, rtol=0, atol=1e-5)
