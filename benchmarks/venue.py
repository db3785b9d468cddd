"""The scenario `venue-crash` as a load: what bystanders cost, and how fast its SimPy events are against bare ones.

Bystanders: the reduced scenario with and without a million more accounts whose margins no price of the run comes
near, each in a process of its own, in turns. Processor time of the run (not of drawing the accounts) and memory
that is held at its end (what the allocator keeps of freed memory is given back first, where it can be) are
compared; goals: at most 5% and 100 MB more. Both runs must liquidate the same accounts
for the same value.

Events: SimPy events a second of the whole run, against SimPy alone calling back an empty function as many times, in
turns in one process (goal: half). An event of the run may be a tick that a maker hears or the liquidation of a
thousand accounts with its walks, postings and log rows: the ratio says what a run costs per event, not what the
queue costs, which `hop.py` measures.

    python benchmarks/venue.py [--quick]
"""

import argparse
import ctypes
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import simpy

from contagion.assembly import build
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
    print(f"{number[0]:,} SimPy events and {len(sim.log.events):,} log rows: {median(ours):,.0f} events/s")
    print(f"bare SimPy callbacks {median(theirs):,.0f}/s; ratio {ratio:.4f} (goal >= 0.5)")


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
    compare_events(1 if options.quick else 3, end_us)
    compare_bystanders(50_000 if options.quick else 1_000_000, 1 if options.quick else 5, end_us)


if __name__ == "__main__":
    main()
