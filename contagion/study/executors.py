"""Where runs are made: in this process, or in processes of this machine.

Whoever makes many runs takes any `concurrent.futures.Executor`; these are the two that need nothing else. Pools
of other packages (`dask.distributed`, `mpi4py.futures`) go in the same place.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


class InProcess(Executor):
    """Runs what is submitted at once, one after the other; an error goes into its future, as in every executor."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done. An interruption is not an outcome of the task and is raised."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # an executor's task: whoever reads the future decides
            future.set_exception(error)
        return future


@contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """Give an executor of so many processes, this one where it is 1; left by an error, its processes end at once.

    The processes are spawned, not forked, so that they are the same on every system.
    """
    if jobs == 1:
        yield InProcess()
        return
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    pool.shutdown()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
