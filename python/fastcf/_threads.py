"""How many threads native code takes by default: of the process, and of a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastcf._backend import ingest
from fastcf._parameters import Interval, validate_parameters
from fastcf._processors import MOST_THREADS

__all__ = ["get_num_threads", "num_threads", "set_num_threads"]


def set_num_threads(n: int) -> None:
    """Set how many threads are used where ``n_threads`` is None, in the whole process.

    At first these are the value of the environment variable FASTCF_NUM_THREADS, else of OMP_NUM_THREADS, else as many
    as there are processors that this process may use: by its affinity and by the limits of its control group, as
    ``joblib.cpu_count()`` tells when fastcf is loaded. Results do not depend on the number. A forked process has its
    parent's.

    Parameters
    ----------
    n : int
        From 1 to 1,024.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.

    See Also
    --------
    num_threads : The same for a block of code.

    Examples
    --------
    >>> import fastcf
    >>> before = fastcf.get_num_threads()
    >>> fastcf.set_num_threads(1)
    >>> fastcf.get_num_threads()
    1
    >>> fastcf.set_num_threads(before)
    """
    ingest.set_num_threads(_checked(n, "set_num_threads"))


def get_num_threads() -> int:
    """Return how many threads are used where ``n_threads`` is None.

    Returns
    -------
    int
        That of the :func:`num_threads` block that the calling thread is in, else that of the process.
    """
    threads: int = ingest.get_num_threads()
    return threads


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Use so many threads in a block of code where ``n_threads`` is None; in the calling thread only.

    What other threads of the program call meanwhile is not affected. Blocks may be nested; the inner one counts.

    Parameters
    ----------
    n : int
        From 1 to 1,024.

    Returns
    -------
    context manager
        Without a value.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.

    Examples
    --------
    >>> import fastcf
    >>> ratings = fastcf.data.make_ratings(50, 40, 800, random_state=0)
    >>> with fastcf.num_threads(1):
    ...     model = fastcf.MatrixFactorization(random_state=0).fit(ratings)
    """
    before = ingest.limit_calling_thread(_checked(n, "num_threads"))
    try:
        yield
    finally:
        ingest.limit_calling_thread(before)


def _checked(n: Any, caller: str) -> int:
    validate_parameters({"n": (Interval(1, MOST_THREADS, integer=True),)}, {"n": n}, caller)
    return int(n)
