"""Where runs are made: in this process, or in processes of this machine.

Whoever makes many runs takes any `concurrent.futures.Executor`; these are the two that need nothing else. Pools
of other packages (`dask.distributed`, `mpi4py.futures`) go in the same place.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


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


def outcomes(
    executor: Executor,
    task: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    done: Callable[[int], None],
    keep: Callable[[int, Result], object] | None = None,
) -> list[tuple[Result | None, str | None]]:
    """Return (result, None) or (None, error) of a task for each of its arguments, in their order.

    done : told how many are done, from whatever thread sees it first; keep : given the place and the result of each
    as soon as it is there. An interruption, or an OSError of `keep`, cancels what has not begun.
    """
    futures: list[Future[Result]] = []
    finished: list[Future[Any]] = []
    unkept: list[OSError] = []

    def count(place: int, future: Future[Any]) -> None:
        finished.append(future)
        if future.cancelled():
            return
        if keep and not future.exception():
            try:
                keep(place, future.result())
            except OSError as error:  # of a callback nobody would hear
                unkept.append(error)
        done(len(finished))

    try:
        errors = []
        for place, each in enumerate(arguments):
            futures.append(executor.submit(task, *each))
            futures[-1].add_done_callback(partial(count, place))
            if unkept:
                raise unkept[0]
        for future in futures:
            errors.append(future.exception())  # waits
            if unkept:
                raise unkept[0]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [
        (None, f"{type(error).__name__}: {error}"[:500]) if error else (future.result(), None)
        for future, error in zip(futures, errors, strict=True)
    ]


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
