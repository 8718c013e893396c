"""Trainings in processes that are killed: a process that has fastcf imported forks one for each line that it reads.

Words of a line are separated by tabs: the seconds after which the new process is killed, or "never", then ``train NAME
CHECKPOINT MODEL``, which fits a model of ``trained_models`` with a checkpoint and saves it, or ``write CHECKPOINT``,
which writes checkpoints until it is killed. The status of the process is printed when it has ended.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_EPOCHS = 12


class Forks:
    """The forking process, and what is asked of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._status()  # when all is imported

    def run(self, *task: object, kill_after: float | None = None) -> int:
        """Run a task in a new process; return its status, which is 9 if it was killed."""
        assert self._process.stdin is not None
        words = ["never" if kill_after is None else kill_after, *task]
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._status()

    def _status(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the forking process."""
        self._process.communicate(timeout=60)


def train(name: str, checkpoint: str | None, model: str) -> None:
    """Fit and save a model."""
    from sklearn.base import clone

    from trained_models import MODELS, split

    learnt, held_out = split()
    estimator = clone(MODELS[name]).set_params(n_epochs=_EPOCHS)
    estimator.fit(learnt, validation=held_out, checkpoint=checkpoint, checkpoint_every=2)
    estimator.save(model)


def write(checkpoint: str) -> None:
    """Write checkpoints, each of the array of its number, for ever."""
    from fastcf.training.checkpoint import Checkpoint, Position

    file = Checkpoint(checkpoint, 1, "write")
    file.seed(0)
    for number in itertools.count():
        file.write(Position([{"epoch": number}], {"parameters": np.full(200_000, number)}, number, False))


def main() -> None:
    """Fork for every line."""
    import trained_models  # noqa: F401 - imported once, for all

    print(0, flush=True)
    for line in sys.stdin:
        kill_after, task, *words = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                {"train": train, "write": write}[task](*words)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if kill_after != "never":
            time.sleep(float(kill_after))
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
