"""Runs are made here or in processes of this machine, and an interruption leaves none behind."""

import multiprocessing
import os
import time
from concurrent.futures import wait

import pytest

from contagion.study.executors import InProcess, cores, local


def test_a_process_of_our_own_keeps_errors_for_whoever_asks() -> None:
    with InProcess() as executor:
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
        assert isinstance(executor.submit(divmod, 7, 0).exception(), ZeroDivisionError)


def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interruption_is_no_result() -> None:
    with pytest.raises(KeyboardInterrupt):
        InProcess().submit(interrupted)


def test_one_job_is_this_process_and_more_are_others() -> None:
    with local(1) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()
    with local(2) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()


def test_processes_end_at_once_when_an_error_leaves_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), local(2) as executor:
        running = executor.submit(time.sleep, 60)
        executor.submit(os.getpid).result()
        raise KeyboardInterrupt
    for child in multiprocessing.active_children():
        child.join(10)
    wait(
        [running], timeout=20
    )  # long before it would have ended by itself: the pool notices that its processes are gone
    assert running.done() and not multiprocessing.active_children()


def test_there_is_a_processor() -> None:
    assert cores() >= 1
