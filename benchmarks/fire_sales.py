"""How long the fire-sale models take on many banks with few holdings each, sparse against the same as full arrays.

Every bank holds ten of the assets and owes to ten others. Both ways must come to the same results. The clearing has no
full form at this size: it is timed alone, on a random network of debts in which few banks default when only defaulters
sell, and all of them, round by round, when a ratio has to be kept. Times are of the processor, best of three.

    python benchmarks/fire_sales.py [--quick]
"""

import argparse
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

from contagion.finance.deleveraging import all_rounds, spectral_radius, vulnerability
from contagion.finance.fire_sale_clearing import fire_sale_clearing, least_fire_sale_clearing
from contagion.finance.leverage_constraint import indirect_contagion
from contagion.finance.system_fire_sale import system_fire_sale

HELD = 10


def best(run: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Return (seconds, result) of the fastest of some runs."""
    found, seconds = None, []
    for _ in range(times):
        start = process_time()
        found = run()
        seconds.append(process_time() - start)
    return min(seconds), found


def links(rng: np.random.Generator, rows: int, columns: int) -> csr_array:
    """Return ten random positive entries a row."""
    places = np.repeat(np.arange(rows), HELD), rng.integers(0, columns, rows * HELD)
    return csr_array((rng.lognormal(0, 1, rows * HELD), places), shape=(rows, columns))


def compare(banks: int, assets: int) -> None:
    rng = np.random.default_rng(1)
    holdings = links(rng, banks, assets)
    size, depth = holdings.sum(axis=1), holdings.sum(axis=0) * 10
    other, leverage = size * 0.5, rng.uniform(10, 25, banks)
    shock = np.where(rng.random(assets) < 0.3, 0.04, 0.0)
    weights = csr_array(holdings.multiply(1 / size[:, None]))
    lever = size, leverage, 0.5 / (holdings.T @ leverage)
    equity, cash = (size + other) / leverage, 0.05 * size
    owed = size + other + cash - (size + other + cash) * rng.uniform(0.035, 0.08, banks)
    works: dict[str, Callable[[Any, Any], Any]] = {
        "vulnerability": lambda w, q: vulnerability(w, *lever, shock)[1],
        "spectral radius": lambda w, q: spectral_radius(w, *lever),
        "all rounds": lambda w, q: all_rounds(w, *lever, shock),
        "leverage constraint": lambda w, q: indirect_contagion(q, other, equity, depth, 26, 22, price_shock=shock)[2],
        "system fire sale": lambda w, q: (
            system_fire_sale(q, cash, other, owed / 2, owed / 2, price_shock=shock, impact=0.01, buffer=0.04)[-1].prices
        ),
    }
    full = weights.toarray(), holdings.toarray()
    print(f"{banks:,} banks, {assets:,} assets, {HELD} held by each")
    for name, work in works.items():
        (fast, one), (slow, other_) = best(lambda w=work: w(weights, holdings)), best(lambda w=work: w(*full), 1)
        assert np.allclose(one, other_, rtol=1e-9), name
        print(f"  {name:20} {fast * 1e3:9.1f} ms, full arrays {slow * 1e3:9.1f} ms: {slow / fast:6.1f} times as long")


def clearing(banks: int) -> None:
    rng = np.random.default_rng(2)
    debts = links(rng, banks, banks) * 0.03
    debts = csr_array(debts - diags_array(debts.diagonal()))  # nobody owes itself
    units = rng.lognormal(1, 1, banks)
    worth = 1.05 * units + debts.sum(axis=0)
    deposits = np.maximum(worth * rng.uniform(0.92, 0.98, banks) - debts.sum(axis=1), 0)
    cash = np.where(rng.random(banks) < 0.02, 0.0, 0.05 * units)
    for ratio in (0.0, 0.04):
        system = cash, units, debts, deposits, ratio, 0.1 / units.sum(), 0.95
        seconds, found = best(lambda system=system: fire_sale_clearing(*system))
        slow, least = best(lambda system=system: least_fire_sale_clearing(*system), 1)
        print(f"  clearing, ratio {ratio:.0%}: {seconds * 1e3:.0f} ms, price {found.price:.4f}, "
              f"{found.defaulted.sum():,} defaults; least {slow * 1e3:.0f} ms, price {least.price:.4f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, 1,000 banks and 100 assets")
    banks, assets = (1_000, 100) if parser.parse_args().quick else (10_000, 1_000)
    compare(banks, assets)
    clearing(banks)


if __name__ == "__main__":
    main()
