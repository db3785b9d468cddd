"""The scenario `venue-crash` as a load: what bystanders cost, and how fast its SimPy events are against bare ones.

Bystanders: the reduced scenario with and without a million more accounts whose margins no price of the run comes
near, each in a process of its own, in turns. Processor time of the run (not of drawing the accounts) and memory
that is held at its end (what the allocator keeps of freed memory is given back first, where it can be) are
compared; goals: at most 5% and 100 MB more. Both runs must liquidate the same accounts
for the same value.

Events: SimPy events a second of the whole run, against SimPy alone calling back an empty function as many times, in
turns in one process. An event of the run may be a maker's look at fifteen books or the liquidation of a thousand
accounts with its walks, postings and log rows: that ratio says what a run costs per event, not what scheduling costs.

Scheduling: one run is recorded, which process fired which signal, took what had arrived and waited for what, and
then replayed: the same processes, signals, latencies and inboxes with nothing done in between. The replay must step
through the same times, event by event. Its processor time, over that of the run, is the share of scheduling; its
rate, over that of bare callbacks, what our layer costs on top of SimPy (goal: half). Two rates: of SimPy events, and
of all that bare SimPy would need a callback for, since an inbox wakes its owner once for many messages: a message
heard, a pause that passed.

    python benchmarks/venue.py [--quick]
"""

import argparse
import ctypes
import gc
import json
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import simpy

from contagion.assembly import build
from contagion.ports import Clock, Inbox, Message, Process, Signal
from contagion.scenario import load
from contagion.simulation import Simulation

END_US = 900_000_000
STATUS = Path("/proc/self/status")


def simulation(bystanders: int) -> Simulation:
    """Return the reduced scenario at rest, with so many more accounts."""
    graph = load("venue-crash", reduced=True).graph()
    if bystanders:
        far = {
            "open_interest": {"btc-perp": 1_000},
            "distance_floor": "90%",
            "distance_median": "95%",
            "distance_spread": 0.1,
        }
        graph.add_node("zz-bystanders", kind="population", count=bystanders, traders=far)
        graph.add_edge("exchange", "zz-bystanders", role="margin")
    return build(graph)


def held_mb() -> float:
    """Return the memory that the process holds now, in MB; its peak where the system does not tell."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(bystanders: int, end_us: int) -> None:
    """Run once and print what it took and gave as JSON."""
    sim = simulation(bystanders)
    opened = held_mb()
    began = process_time()
    sim.run(end_us)
    seconds = process_time() - began
    events = sim.log.events.columns()
    chosen = events["kind"] == sim.log.kinds.get("liquidation", -1)
    gave = [int(chosen.sum()), int(events["value"][chosen].sum())]
    print(json.dumps({"seconds": seconds, "opened_mb": opened, "mb": held_mb(), "liquidated": gave}))


def measured(bystanders: int, end_us: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", str(bystanders), "--end", str(end_us)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def compare_bystanders(count: int, repetitions: int, end_us: int) -> None:
    runs: dict[int, list[dict[str, Any]]] = {0: [], count: []}
    for _ in range(repetitions):
        for number, results in runs.items():
            results.append(measured(number, end_us))
    assert all(r["liquidated"] == runs[0][0]["liquidated"] for results in runs.values() for r in results)
    seconds = {number: median(r["seconds"] for r in results) for number, results in runs.items()}
    memory = {number: median(r["mb"] for r in results) for number, results in runs.items()}
    print(f"the run alone {seconds[0]:.2f} s of processor time, {memory[0]:.0f} MB at its end")
    print(f"with {count:,} bystanders {seconds[count]:.2f} s, {memory[count]:.0f} MB")
    more = memory[count] - memory[0]
    print(f"  time x {seconds[count] / seconds[0]:.3f} (goal <= 1.05), {more:+.0f} MB (goal <= 100)")


def bare(count: int) -> float:
    """Return the seconds that SimPy takes for so many callbacks, one pending at a time."""
    env = simpy.Environment()

    def again(_: simpy.Event) -> None:
        if env.now < count:
            env.timeout(1).callbacks.append(again)

    env.timeout(1).callbacks.append(again)
    began = process_time()
    env.run()
    return process_time() - began


def counted(step: Callable[[], None], count: list[int]) -> Callable[[], None]:
    def counting() -> None:
        count[0] += 1
        step()

    return counting


def compare_events(repetitions: int, end_us: int) -> None:
    ours, theirs, number = [], [], [0]
    for _ in range(repetitions):
        sim = simulation(0)
        number[0] = 0
        sim.env.step = counted(sim.env.step, number)  # type: ignore[method-assign]
        began = process_time()
        sim.run(end_us)
        ours.append(number[0] / (process_time() - began))
        theirs.append(number[0] / bare(number[0]))
    ratio = np.median(np.array(ours) / np.array(theirs))
    print(f"the whole run, finance included: {number[0]:,} SimPy events and {len(sim.log.events):,} log rows, "
          f"{median(ours):,.0f} events/s")  # fmt: skip
    print(f"  bare SimPy callbacks {median(theirs):,.0f}/s; ratio {ratio:.4f} (goal >= 0.5)")


Call = tuple[str, Any, int]
"""Something that a process did: fire or hold a signal, send to or take from an inbox, keep a timeout for later."""
Wait = tuple[Inbox | None, int | None]
"""For what it then waited: a message in an inbox, the passing of a delay, or whichever comes first."""


class Recording:
    """The schedule of one run: per process, what it did whenever it woke, and what it then waited for."""

    def __init__(self, end_us: int) -> None:
        self.end_us, self.messages, self.pauses = end_us, 0, 0
        self.scripts: list[list[tuple[list[Call], Wait | simpy.Event | None]]] = []
        self.listeners: dict[Signal, list[tuple[Inbox, int]]] = {}
        self.times: list[int] = []
        self._calls = self.opening = list[Call]()
        self._made: dict[simpy.Event, Wait] = {}
        with ExitStack() as patches:
            for owner, name, double in self._doubles():
                patches.enter_context(patch.object(owner, name, double))
            sim = simulation(0)
            timeout = sim.env.timeout
            sim.env.timeout = lambda delay: self._noted(timeout(delay), (None, delay))  # type: ignore[method-assign]
            sim.env.step = timed(sim.env, self.times)  # type: ignore[method-assign]
            began = process_time()
            sim.run(end_us)
            self.seconds = process_time() - began

    def _noted(self, event: simpy.Event, what: Wait) -> Any:
        self._made[event] = what
        self.pauses += isinstance(event, simpy.Timeout)
        return event

    def _doubles(self) -> list[tuple[type, str, Callable[..., Any]]]:
        """Return what stands in for our own functions: they do the same, and write it down."""
        fire, hold, send, wait, take, start = (
            Signal.fire, Signal.hold, Inbox.send, Inbox.wait, Inbox.take, Simulation.start,
        )  # fmt: skip

        def firing(signal: Signal, cause: int, content: Any = None) -> None:
            before, calls = self.messages, self._calls
            calls.append(("fire", signal, cause))
            self.listeners[signal] = signal._listeners
            self._calls = []
            fire(signal, cause, content)
            assert self.messages - before == len(signal._listeners)
            self._calls = calls

        def holding(signal: Signal, until_us: int) -> None:
            self._calls.append(("hold", signal, until_us))
            hold(signal, until_us)

        def sending(inbox: Inbox, message: Message, latency_us: int) -> None:
            self.messages += 1
            self._calls.append(("send", inbox, latency_us))
            send(inbox, message, latency_us)

        def taking(inbox: Inbox) -> list[Message]:
            self._calls.append(("take", inbox, 0))
            return take(inbox)

        def waiting(inbox: Inbox) -> simpy.Event:
            return self._noted(wait(inbox), (inbox, None))  # type: ignore[no-any-return]

        def starting(sim: Simulation, process: Process) -> None:
            assert self._calls is self.opening, "no process of this scenario starts another"
            start(sim, self._followed(process))

        return [
            (Signal, "fire", firing), (Signal, "hold", holding), (Inbox, "send", sending), (Inbox, "take", taking),
            (Inbox, "wait", waiting), (Simulation, "start", starting),
        ]  # fmt: skip

    def _followed(self, process: Process) -> Process:
        steps: list[tuple[list[Call], Wait | simpy.Event | None]] = []
        self.scripts.append(steps)
        value = None
        while True:
            self._calls, self._made = calls, made = [], {}
            try:
                event = process.send(value)
            except StopIteration:
                steps.append((calls, None))
                return
            parts = [made.pop(part) for part in getattr(event, "_events", (event,)) if part in made]
            inbox, delay = (next((w[at] for w in parts if w[at] is not None), None) for at in (0, 1))
            steps.append((calls, (inbox, delay) if parts else event))  # type: ignore[arg-type]
            calls += [("keep", kept, delay) for kept, (_, delay) in made.items() if delay is not None]
            value = yield event

    def replayed(self, check: bool = False) -> float:
        """Return the seconds that the same schedule takes with nothing done in between."""
        env, times = Clock(), list[int]()
        inboxes: dict[Inbox, Inbox] = defaultdict(lambda: Inbox(env))
        signals = {signal: Signal(env) for signal in self.listeners}
        for signal, listeners in self.listeners.items():
            for inbox, latency_us in listeners:
                signals[signal].reach(inboxes[inbox], latency_us)
        kept: dict[simpy.Event, simpy.Event] = {}
        functions: dict[str, Callable[[Any, int], Callable[[], Any]]] = {
            "fire": lambda signal, cause: partial(signals[signal].fire, cause),
            "hold": lambda signal, until_us: partial(signals[signal].hold, until_us),
            "send": lambda inbox, latency_us: partial(inboxes[inbox].send, Message(0, None), latency_us),
            "take": lambda inbox, _: inboxes[inbox].take,
            "keep": lambda event, delay: lambda: kept.__setitem__(event, env.timeout(delay)),
        }

        def bound(calls: list[Call]) -> list[Callable[[], Any]]:
            return [functions[name](what, number) for name, what, number in calls]

        def process(steps: list[Any]) -> Process:
            for calls, inbox, delay, event in steps:
                for call in calls:
                    call()
                if inbox is not None:
                    yield inbox.wait() if delay is None else inbox.wait() | env.timeout(delay)
                elif delay is not None:
                    yield env.timeout(delay)
                elif event is not None:  # else the process has ended
                    yield kept[event]

        for call in bound(self.opening):
            call()
        for script in self.scripts:
            steps = [
                (bound(calls), None if wait[0] is None else inboxes[wait[0]], wait[1], None)
                if isinstance(wait, tuple) else (bound(calls), None, None, wait)
                for calls, wait in script
            ]  # fmt: skip
            env.process(process(steps))
        if check:
            env.step = timed(env, times)  # type: ignore[method-assign]
        gc.collect()
        began = process_time()
        env.run(self.end_us + 1)
        seconds = process_time() - began
        assert not check or times == self.times, "the replay goes through the same events"
        return seconds


def timed(env: simpy.Environment, times: list[int]) -> Callable[[], None]:
    """Return a step of an environment that notes when it happened."""
    step = env.step

    def noting() -> None:
        step()
        times.append(int(env.now))

    return noting


def compare_scheduling(repetitions: int, end_us: int) -> None:
    recording = Recording(end_us)
    recording.replayed(check=True)
    events, heard = len(recording.times), recording.messages + recording.pauses
    runs, replays, bares = [], [], []
    for _ in range(repetitions):
        sim = simulation(0)
        gc.collect()
        began = process_time()
        sim.run(end_us)
        runs.append(process_time() - began)
        replays.append(recording.replayed())
        bares.append(bare(events) / events)
    replay, run = median(replays), median(runs)
    print(f"the run {run:.2f} s of processor time; its schedule alone, {events:,} SimPy events for {heard:,} "
          f"messages and pauses, {replay:.3f} s: {replay / run:.1%} of it")  # fmt: skip
    for name, count in (("SimPy events", events), ("messages and pauses", heard)):
        ratio = median(each * count / spent for each, spent in zip(bares, replays, strict=True))
        print(f"  {name}: {count / replay:,.0f}/s, to bare SimPy callbacks {ratio:.2f} (goal >= 0.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer bystanders, a shorter run")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--end", type=int, default=END_US, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.end)
        return
    end_us = END_US // 4 if options.quick else END_US
    compare_scheduling(3 if options.quick else 5, end_us)
    compare_events(1 if options.quick else 3, end_us)
    compare_bystanders(50_000 if options.quick else 1_000_000, 1 if options.quick else 5, end_us)


if __name__ == "__main__":
    main()
