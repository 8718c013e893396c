"""Callbacks for other packages: TensorBoard and Optuna as they are, MLflow and Weights & Biases as stand-ins."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest
from sklearn.base import clone

from fastcf.callbacks import MLflowLogger, OptunaPruning, TensorBoardLogger, WandbLogger
from trained_models import MODELS, split

TRAIN, HELD_OUT = split()


def fit(callback, **options):
    given = {"validation": HELD_OUT, "validation_metric": "ndcg@10", "validation_every": 2, **options}
    return clone(MODELS["als"]).fit(TRAIN, callbacks=callback, **given)


def numbers(model, name):
    """Return the epochs that recorded an entry, and its values."""
    return [(record["epoch"], record[name]) for record in model.history_[1:] if record[name] is not None]


def test_tensorboard_has_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c

    model = fit(TensorBoardLogger(tmp_path / "logs"))
    (file,) = (tmp_path / "logs").iterdir()
    data, scalars = file.read_bytes(), {}
    while data:
        size = int.from_bytes(data[:8], "little")
        assert int.from_bytes(data[8:12], "little") == masked_crc32c(data[:8])
        event = event_pb2.Event.FromString(data[12 : 12 + size])
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
        data = data[16 + size :]
    assert scalars.keys() == {"cost", "train_rmse", "validation_ndcg_at_10", "seconds"}
    for name, found in scalars.items():
        want = numbers(model, name.replace("_at_", "@"))
        assert [step for step, _ in found] == [step for step, _ in want]
        assert [value for _, value in found] == pytest.approx([value for _, value in want])


def test_mlflow_gets_metrics_by_epoch(monkeypatch):
    logged = []

    def log_metrics(metrics, step):  # as strict as MLflow is about names and numbers
        assert isinstance(step, int)
        assert all(re.fullmatch(r"[\w\-. :/]+", name) and type(value) is float for name, value in metrics.items())
        logged.append((step, metrics))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(log_metrics=log_metrics))
    model = fit(MLflowLogger())
    assert [step for step, _ in logged] == [1, 2, 3, 4, 5]
    assert logged[0][1].keys() == {"cost", "train_rmse", "seconds"}
    assert logged[1][1]["validation_ndcg_at_10"] == model.history_[2]["validation_ndcg@10"]


@pytest.mark.parametrize("given", [True, False])
def test_wandb_gets_numbers_by_epoch(given, monkeypatch):
    logged = []

    def log(values, step):  # Weights & Biases drops what comes with an earlier step
        assert not logged or step > logged[-1][0]
        logged.append((step, values))

    run = SimpleNamespace(log=log)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None if given else run))
    model = fit(WandbLogger(run if given else None))
    assert [step for step, _ in logged] == [1, 2, 3, 4, 5]
    assert logged[-1][1]["validation_ndcg_at_10"] == model.history_[-1]["validation_ndcg@10"]
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    with pytest.raises(ValueError, match="WandbLogger: there must be a run to log to"):
        fit(WandbLogger())


def test_optuna_prunes_hopeless_trials():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=10.0, n_warmup_steps=3)
    )
    models = []

    def objective(trial):
        models.append(fit(OptunaPruning(trial)))

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert not models
    reference = fit(None)
    assert trial.intermediate_values == dict(numbers(reference, "validation_ndcg@10")[:2])
    costs = optuna.create_study()
    costs.optimize(lambda trial: fit(OptunaPruning(trial, "cost")).history_[-1]["cost"], n_trials=1)
    assert costs.trials[0].intermediate_values == dict(numbers(reference, "cost"))


def test_optuna_goes_on_from_a_checkpoint(tmp_path):
    pytest.importorskip("optuna")
    reported = []

    def trial(fails_at=None):
        def report(value, step):
            reported.append(step)
            if step == fails_at:
                raise RuntimeError("killed")

        return SimpleNamespace(report=report, should_prune=lambda: False)

    path = tmp_path / "checkpoint"
    with pytest.raises(RuntimeError, match="killed"):
        fit(OptunaPruning(trial(4), "cost"), checkpoint=path)
    fit(OptunaPruning(trial(), "cost"), checkpoint=path)
    assert reported == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="OptunaPruning: monitor must be given where fit has no validation ratings"):
        clone(MODELS["als"]).fit(TRAIN, callbacks=OptunaPruning(trial()))


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (lambda: TensorBoardLogger("logs"), "tensorboardX", "tensorboard"),
        (MLflowLogger, "mlflow", "mlflow"),
        (WandbLogger, "wandb", "wandb"),
        (lambda: OptunaPruning(None), "optuna", "search"),
    ],
)
def test_missing_packages_are_named_before_training(make, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}, an optional extra: pip install 'fastcf\[{extra}\]'$"):
        fit(make())
