"""What the summary of a large run costs, part by part, and how many bytes its tables take on disk.

The tables are synthetic, of the shape that a crash of margin accounts leaves: each liquidated member steps out of
its crowd by two journal rows an asset and closes a contract against a market maker. The peer of `summarise` is one
sort of the journal by (holder, member, asset) and one pass of sums over it: what any measure by member needs.

    python benchmarks/summary.py [--quick]
"""

import argparse
import gc
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from contagion.log import CONTRIBUTION_LAYOUT, EVENT_LAYOUT, EventLog
from contagion.metrics import cascade, venues
from contagion.metrics.attribution import attribution
from contagion.metrics.bilateral import bilateral
from contagion.metrics.losses import losses, shortfalls
from contagion.metrics.marks import Marks
from contagion.metrics.spillover import spillovers
from contagion.metrics.summary import summarise
from contagion.runs import Books, Run, load_run, write_parquet
from contagion.units import PRICE_SCALE

Columns = dict[str, Any]
KINDS = ["clock", "opening", "start", "shock", "trade", "quote", "liquidation", "maker-withdrawal"]
CLOCK, OPENING, START, SHOCK, TRADE, QUOTE, LIQUIDATION, WITHDRAWAL = range(len(KINDS))
COINS, CROWDS, MAKERS = 20, 4, 12
HOLDERS = ["world", "exchange", *(f"crowd{i}" for i in range(CROWDS)), *(f"maker{i}" for i in range(MAKERS))]
WORLD, EXCHANGE, CROWD, MAKER = 0, 1, 2, 2 + CROWDS
USD, CONTRACT, COST = 0, COINS, 2 * COINS
CHANNELS = (1, 2, 6, 7, 8, 9)


def books(opening: int) -> Books:
    """Return 60 assets (money and coins, contracts, costs of contracts) and a feed for each of the first 40."""
    coins = [f"coin{i:02}" for i in range(COINS)]
    assets = [*coins, *(f"{c}-perp" for c in coins), *(f"{c}-cost" for c in coins)]
    marks = [*range(2 * COINS), *[USD] * COINS]
    own_marks = [(EXCHANGE, coin, COINS + coin) for coin in range(1, COINS)]
    size, count = len(HOLDERS), len(assets)
    return Books(
        KINDS, HOLDERS, ["population"] * size, (["outside", "cefi", "cefi", "defi"] * size)[:size], HOLDERS, assets,
        [8] * count, [-1] * count, [-1] * count, [-1] * count, assets[: 2 * COINS], marks, own_marks, WORLD, [],
        opening, "USD", 6,
    )  # fmt: skip


def events(rng: np.random.Generator, count: int, opening: int) -> Columns:
    """Return events in bursts of one kind, time, node and market: makers quote, traders trade, members are closed."""
    burst = np.cumsum(rng.random(count) < 0.02)
    kinds = rng.choice([TRADE, QUOTE, LIQUIDATION], burst[-1] + 1, p=[0.4, 0.3, 0.3])
    kind = kinds[burst].astype(np.int32)
    members = rng.permutation(count)
    member = np.where(kind == LIQUIDATION, members[np.lexsort((members, burst))], -1).astype(np.int32)
    kind[rng.choice(np.flatnonzero(kind == QUOTE), count // 1000)] = WITHDRAWAL
    kind[0], kind[1:opening], kind[opening], kind[opening + 1] = CLOCK, OPENING, START, SHOCK
    member[: opening + 2] = -1
    one, number = kind == LIQUIDATION, np.arange(count)
    starts = np.searchsorted(burst, burst)
    cause = np.where(number > opening + 1, np.maximum(starts - rng.geometric(0.3, count), opening + 1), 0)
    cause[0] = -1
    cause[opening + 2 :] = np.minimum(cause[opening + 2 :], number[opening + 2 :] - 1)
    node = np.where(one, CROWD + burst % CROWDS, MAKER + burst % MAKERS).astype(np.int32)
    market = rng.integers(COINS, 2 * COINS, burst[-1] + 1)[burst].astype(np.int32)
    first = (one | (kind == WITHDRAWAL)).astype(np.int32)
    first[kind == WITHDRAWAL] = rng.random((kind == WITHDRAWAL).sum()) < 0.2
    price = (PRICE_SCALE * (1 + 50 * market) * np.exp(rng.normal(-0.1, 0.05, burst[-1] + 1)[burst])).astype(np.int64)
    quantity = 10**4 * np.maximum(rng.lognormal(5.0, 1.5, count), 1.0).astype(np.int64)
    sign = np.where(rng.random(count) < 0.9, 1, -1)
    table = {
        "time_us": np.sort(rng.integers(0, 86_400_000_000, burst[-1] + 1))[burst] * (number > opening),
        "cause": cause, "kind": kind, "node": node, "member": member, "generation": np.zeros(count, np.int32),
        "channel": np.where(one, 2, 0).astype(np.int32), "asset": market, "market": market, "first": first,
        "quantity": quantity * sign, "price": price, "value": quantity * (price // 10**7) // 10**4,
    }  # fmt: skip
    table["generation"][first == 1] = cascade.trigger_depths(table, KINDS)
    return {name: table[name] for name in EVENT_LAYOUT}


def postings(rng: np.random.Generator, table: Columns, opening: int) -> Columns:
    """Return a journal that opens crowds as a whole and in which who is liquidated steps out of them before."""
    rows: list[np.ndarray] = []

    def post(event: Any, holder: Any, member: Any, asset: Any, amount: Any, order: Any) -> None:
        rows.append(np.stack(np.broadcast_arrays(event, amount, holder, member, asset, order)))

    for crowd in range(CROWDS):
        for asset in (USD, *range(CONTRACT, CONTRACT + COINS), *range(COST, COST + COINS)):
            post(1, CROWD + crowd, -1, asset, 10**15, 0)
            post(1, WORLD, -1, asset, -(10**15), 0)
    for event in (np.flatnonzero(table["kind"] == kind) for kind in (LIQUIDATION, TRADE)):
        holder, member, contract = table["node"][event], table["member"][event], table["asset"][event]
        crowd, paid = table["kind"][event[0]] == LIQUIDATION, table["quantity"][event] // 7
        moves = [(contract, -table["quantity"][event]), (contract + COINS, paid)]
        if crowd:
            brought = [(contract, table["quantity"][event]), (contract + COINS, -paid), (0 * contract, 10**9)]
            for asset, amount in brought:
                post(1, holder, -1, asset, -amount, event)
                post(1, holder, member, asset, amount, event)
        else:
            event, holder, member, contract = event[::20], holder[::20], member[::20], contract[::20]
            moves = [(asset[::20], amount[::20]) for asset, amount in moves]
        for asset, amount in moves:
            post(event, holder, member, asset, amount, event)
            post(event, MAKER + event % MAKERS if crowd else EXCHANGE, -1, asset, -amount, event)
    joined = np.concatenate([np.atleast_2d(part.T) for part in rows])
    joined = joined[np.argsort(joined[:, 5], kind="stable")]
    names = ("event", "amount", "holder", "member", "asset")
    return {n: joined[:, i].astype(np.int64 if i < 2 else np.int32) for i, n in enumerate(names)}


def prices(rng: np.random.Generator, table: Columns, count: int, opening: int) -> Columns:
    """Return walks of forty feeds, one of which (money) never moves."""
    event = np.sort(rng.choice(np.arange(opening + 1, len(table["kind"])), count, replace=False))
    market = rng.integers(1, 2 * COINS, count)
    event, market = np.r_[np.zeros(2 * COINS, np.int64), event], np.r_[np.arange(2 * COINS), market].astype(np.int32)
    step = np.r_[np.zeros(2 * COINS), rng.normal(-1e-5, 1e-3, count)]
    price, delta = np.zeros(len(event), np.int64), np.zeros(len(event), np.int64)
    for feed in range(2 * COINS):
        rows = np.flatnonzero(market == feed)
        path = np.maximum((PRICE_SCALE * (1 + 50 * feed) * np.exp(np.cumsum(step[rows]))).astype(np.int64), 1)
        price[rows], delta[rows] = path, np.diff(path, prepend=path[0])
    depth = rng.integers(0, 10**12, (2, len(event)))
    channel = rng.choice(CHANNELS, len(event)).astype(np.int32)
    return {
        "event": event, "time_us": table["time_us"][event], "price": price, "delta": delta, "bid_depth": depth[0],
        "ask_depth": depth[1], "market": market, "channel": channel,
    }  # fmt: skip


def closing(journal: Columns) -> Columns:
    """Return the balances that a journal leads to, zeros left out."""
    keys = np.stack([journal[name].astype(np.int64) for name in ("holder", "member", "asset")])
    order = np.lexsort(keys[::-1])
    keys, amounts = keys[:, order], journal["amount"][order]
    starts = np.flatnonzero(np.r_[True, np.any(keys[:, 1:] != keys[:, :-1], axis=0)])
    sums = np.add.reduceat(amounts, starts)
    kept = keys[:, starts[sums != 0]].astype(np.int32)
    return dict(zip(("holder", "member", "asset"), kept, strict=True)) | {"balance": sums[sums != 0]}


def synthetic(count: int, seed: int = 1) -> Run:
    """Return a run of `count` events, 30% of them liquidations, with three times as many postings."""
    rng, opening = np.random.default_rng(seed), 5
    table = events(rng, count, opening)
    failed, size = np.flatnonzero(table["first"]), int(table["first"].sum())
    tables = {
        "events": table, "postings": postings(rng, table, opening),
        "prices": prices(rng, table, count // 5, opening),
        "contributions": {name: np.zeros(0, code) for name, code in CONTRIBUTION_LAYOUT.items()},
        "failures": {
            "event": failed, "weighted": 1.0 + rng.integers(0, 30, size) / 7, "exogenous": rng.integers(0, 9, size) / 8,
            "value": table["value"][failed],
        },
    }  # fmt: skip
    tables["balances"] = closing(tables["postings"])
    return Run(tables, books(opening), {"end_us": 86_400_000_000, "digest": "", "seed": 1})


def sorted_sums(run: Run) -> None:
    """Sort the journal and sum it: the peer."""
    closing(run.tables["postings"])


def cascades(run: Run) -> None:
    table, failed, kinds = run.tables["events"], run.tables["failures"], run.books.kinds
    cascade.generations(table, kinds)
    cascade.branching_ratio(table, kinds)
    cascade.spillover(table, failed, kinds, run.books.domains)
    cascade.weighted_depth(failed)


def measures(run: Run) -> dict[str, Callable[[], Any]]:
    """Return what is timed."""
    t, b = run.tables, run.books
    size, inside = len(t["events"]["kind"]), np.arange(len(b.holders)) != b.world
    return {
        "one sort, one pass of sums": lambda: sorted_sums(run),
        "summarise": lambda: summarise(run),
        "who lost to whom": lambda: bilateral(t["postings"], t["prices"], t["events"]["kind"], b),
        "  losses": lambda: losses(t["postings"], t["prices"], t["balances"], b, size),
        "  attribution, by holder": lambda: attribution(t["postings"], t["prices"], t["events"]["kind"], b),
        "  attribution, by member": lambda: attribution(t["postings"], t["prices"], t["events"]["kind"], b, True),
        "  cascades": lambda: cascades(run),
        "  venues": lambda: (venues.activity(t["events"], t["prices"], b, {}), venues.prices(t["prices"], b)),
        "  spillovers": lambda: spillovers(t["events"], t["failures"], t["postings"], Marks(t["prices"], b), b, inside),
        "  shortfalls": lambda: shortfalls(t["balances"], t["prices"], b),
    }


def log_failures(members: int) -> float:
    """Return the microseconds a row that bulk failures take, a thousand at a time below a few hundred causes."""
    log, rng = EventLog(), np.random.default_rng(1)
    log.append_root(0, "clock", -1, -1)
    bulk, spent = 1000, 0.0
    for at in range(0, members, bulk):
        cause = rng.integers(max(len(log.depths) - 500, 0), len(log.depths), bulk)
        weighted, value = 1.0 + rng.random(bulk), rng.integers(1, 10**9, bulk)
        who = rng.permutation(np.arange(at, at + bulk))
        start = perf_counter()
        log.append_failures(at, "liquidation", 3, cause, who, weighted, 0.5, quantity=value, value=value)
        spent += perf_counter() - start
    return spent / members * 1e6


def on_disk(run: Run) -> None:
    """Save a run, print seconds and bytes a row by table, and load it back."""
    with tempfile.TemporaryDirectory() as directory:
        start = perf_counter()
        run.save(Path(directory, "run"))
        saved = perf_counter()
        again = load_run(Path(directory, "run"))
        loaded = perf_counter()
        for name, columns in run.tables.items():
            size, rows = Path(directory, "run", f"{name}.parquet").stat().st_size, len(next(iter(columns.values())))
            print(f"  {name + '.parquet':<24}{rows:10,} rows{size / max(rows, 1):8.1f} B a row")
            for column, values in columns.items():
                assert np.array_equal(values, again.tables[name][column]), f"{name}.{column}"
        liquidations = run.events.filter(run.tables["events"]["kind"] == LIQUIDATION)
        write_parquet(liquidations, Path(directory, "part"))
        print(f"  liquidations alone {Path(directory, 'part').stat().st_size / liquidations.num_rows:.1f} B a row")
        print(f"save {saved - start:.2f} s, load {loaded - saved:.2f} s; loaded tables are equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    count, repetitions = (50_000, 3) if parser.parse_args().quick else (1_000_000, 3)
    run = synthetic(count)
    sizes = {name: len(next(iter(columns.values()))) for name, columns in run.tables.items()}
    print(", ".join(f"{size:,} {name}" for name, size in sizes.items()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent: dict[str, list[float]] = {}
    for _ in range(repetitions):
        for name, measure in measures(run).items():
            gc.collect()
            start = perf_counter()
            measure()
            spent.setdefault(name, []).append(perf_counter() - start)
    for name, seconds in spent.items():
        print(f"{name:<32}{median(seconds):8.2f} s {sizes['postings'] / median(seconds):14,.0f} postings/s")
    peer = spent["one sort, one pass of sums"]
    print(f"time of summarise / peer: {median(spent['summarise']) / median(peer):.1f}")
    print(f"memory: {before / 1024:.0f} MB for the tables, {_highest():.0f} MB at the highest")
    print(f"append_failures: {log_failures(count * 3 // 10 // 1000 * 1000):.2f} us a row")
    on_disk(run)


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
