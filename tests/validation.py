"""What published cases of classical models say and what we compute: the table of `docs/classical-models.md`.

    python -m tests.validation            writes the table into the page
    python -m tests.validation --check    prints it and writes nothing

A row compares one quantity; of a vector it shows the element that is furthest off. Cases that hold the data of others
are read from beside the checkout, and without them the page is not written.
"""

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contagion.finance import (
    bank_run,
    clearing,
    cross_holdings,
    debtrank,
    deleveraging,
    fire_sale_clearing,
    kyle,
    leverage_constraint,
    system_fire_sale,
    threshold,
    windows,
)
from tests.cases import EVIDENCE, published, stressed_banks, third_party

PAGE = Path(__file__).parents[1] / "docs" / "classical-models.md"
BEGIN, END = "<!-- validation table: python -m tests.validation -->", "<!-- end of the table -->"


class Row(NamedTuple):
    """One quantity of a case: published and ours, the element that is furthest off where there are several."""

    case: str
    model: str
    quantity: str
    published: float
    ours: float

    @property
    def difference(self) -> float:
        """Return how far off ours is, in the quantity's own unit."""
        return abs(self.ours - self.published)

    def text(self) -> str:
        """Return the row as Markdown has it; figures to the twelve digits that cases are published with."""
        off = "0" if self.difference < 5e-12 * max(1.0, abs(self.published)) else f"{self.difference:.1e}"
        return f"| {self.case} | {self.model} | {self.quantity} | {self.published:.12g} | {self.ours:.12g} | {off} |"


def row(case: str, model: str, quantity: str, said: Any, ours: Any) -> Row:
    """Return the row of a number or of equally long vectors."""
    known, found = np.atleast_1d(np.asarray(said, float)), np.atleast_1d(np.asarray(ours, float))
    assert known.shape == found.shape, (case, quantity, known, found)
    at = int(np.argmax(np.abs(known - found))) if known.size else 0
    of = f" (of {known.size})" if known.size > 1 else ""
    return Row(case, model, quantity + of, float(known.flat[at]), float(found.flat[at]))


def eisenberg_noe() -> Iterator[Row]:
    for name in ("EN-01", "EN-02", "EN-03", "EN-04", "EN-05", "EN-06", "EN-07a", "EN-07b", "EN-08"):
        given, said = inputs(name)
        senior = "senior" in given
        outside = given["senior"] if senior else given["d"]
        found = clearing.eisenberg_noe(np.array(given["L"], float), given["e"], outside, senior=senior)
        payments = found.payments - found.external_payments if senior else found.payments  # as the case counts them
        yield row(name, "Eisenberg-Noe", "payments", said.get("p", said.get("p_greatest")), payments)
        yield row(name, "Eisenberg-Noe", "depth", said["D_FD"], len(found.waves))
        if "p_least" in said:
            least = clearing.eisenberg_noe(np.array(given["L"], float), given["e"], outside, solution="least")
            yield row(name, "Eisenberg-Noe", "least payments", said["p_least"], least.payments)


def rogers_veraart() -> Iterator[Row]:
    for name in ("RV-01", "RV-02", "RV-03", "RV-04"):
        given, said = inputs(name)
        facts = (np.array(given["L"], float), given["e"], given["d"])
        costs = {"alpha": given["alpha"], "beta": given["beta"]}
        greatest = clearing.rogers_veraart(*facts, **costs)
        least = clearing.rogers_veraart(*facts, **costs, solution="least")
        yield row(name, "Rogers-Veraart", "payments", said["p_greatest"], greatest.payments)
        yield row(name, "Rogers-Veraart", "least payments", said["p_least"], least.payments)
        yield row(name, "Rogers-Veraart", "deadweight", said["deadweight"], greatest.deadweight.sum())
        yield row(name, "Rogers-Veraart", "depth", said["D_FD"], len(greatest.waves))


def furfine() -> Iterator[Row]:
    for name in ("FF-01", "FF-02"):
        given, said = inputs(name)
        found = threshold.furfine(
            np.array(given["X"], float), given["capital"], given["initial"],
            loss_given_default=given["LGD"],
        )  # fmt: skip
        yield row(name, "Furfine", "losses", said["loss"], found.losses)
        yield row(name, "Furfine", "depth", said["depth"], len(found.sizes) - 1)


def distress() -> Iterator[Row]:
    given, said = inputs("DR-02")
    facts = (np.array(given["X"], float), np.array(given["buffer"], float))
    yield row("DR-02", "DebtRank", "distress", said["s_final"], debtrank.linear_inverse(*facts, given["s0"]))
    yield row("DR-02", "DebtRank", "spectral radius", said["spectral_radius"], debtrank.spectral_radius(*facts))


def fire_sales() -> Iterator[Row]:
    for name in ("CFS-01", "CFS-02", "CFS-03"):
        given, said = inputs(name)
        liquid, illiquid = np.array(given["c"], float) - given["shock_to_c"], np.array(given["e"], float)
        found = fire_sale_clearing.fire_sale_clearing(
            liquid, illiquid, np.array(given["L"], float), np.array(given["d"], float), given["rstar"], given["alpha"]
        )
        yield row(name, "Cifuentes-Ferrucci-Shin", "price", said["price"], found.price)
        yield row(name, "Cifuentes-Ferrucci-Shin", "sales", said["s"], found.sales)
    for name in ("GLT-01", "GLT-02"):
        given, said = inputs(name)
        facts = tuple(np.array(given[key], float) for key in ("M", "a", "B", "l"))
        found = deleveraging.vulnerability(*facts, -np.array(given["F1"], float))
        yield row(name, "Greenwood-Landier-Thesmar", "aggregate vulnerability", said["AV"], found.aggregate)
        yield row(name, "Greenwood-Landier-Thesmar", "systemicness", said["S"], found.systemicness)
        radius = deleveraging.spectral_radius(*facts)
        yield row(name, "Greenwood-Landier-Thesmar", "spectral radius", said["rho"], radius)
    for name in ("CS-01", "CS-02"):
        given, said = inputs(name)
        found = leverage_constraint.indirect_contagion(
            np.array(given["q"], float), np.array(given["illiquid"], float), np.array(given["E0"], float),
            np.array(given["depth"], float), given["lam_max"], given["lam_b"], price_shock=given["shock_price"] or 0.0,
            illiquid_shock=given["shock_illiquid"] or 0.0, floor=given["B"], slippage=given["w"],
        )  # fmt: skip
        yield row(name, "Cont-Schaanning", "loss", said["fire_sale_loss"], found.loss)
        yield row(name, "Cont-Schaanning", "rounds", said["rounds"], len(found.rounds))
    given, said = inputs("DEF-03")
    facts = [np.array(given[key], float) for key in ("c", "e", "L", "d")]
    found = fire_sale_clearing.channel_losses(
        *facts, 0.0, given["alpha"], given["kappa"], np.array(given["shock"], float)
    )
    yield row("DEF-03", "fire sale and default cost", "fire sale's share", said["phi_firesale"], found.fire_sale)
    yield row("DEF-03", "fire sale and default cost", "cost's share", said["phi_defaultcost"], found.default_cost)


def graphs() -> Iterator[Row]:
    given, said = inputs("WT-01")
    window = windows.watts_window(given["phi"])
    yield row("WT-01", "Watts", "window", [said["z_lower"], said["z_upper"]], window)
    given, said = inputs("GK-01")
    for key, ties in (("strict", False), ("tie_defaults", True)):
        shares = (Fraction(str(given[name])) for name in ("capital", "interbank"))
        window = windows.gai_kapadia_window(*shares, ties_default=ties)
        edges = [said[key]["z_lower"], said[key]["z_upper"]]
        yield row("GK-01", "Gai-Kapadia", f"window, {key.replace('_', ' ')}", edges, window)
    given, said = inputs("ACM-01")
    laws = [windows.poisson_law(float(z)) for z in said]
    ours = [windows.final_default_fraction(law, np.arange(len(law)) // 5 + 1, given["rho0"]) for law in laws]
    yield row("ACM-01", "Amini-Cont-Minca", "final fraction", list(said.values()), ours)
    given, said = inputs("WT-02")
    laws = [windows.poisson_law(float(z)) for z in said]
    needed = [windows.least_defaults(range(len(law)), given["phi"], ties_default=True) for law in laws]
    ours = [windows.final_adoption_fraction(law, need, given["rho0"]) for law, need in zip(laws, needed, strict=True)]
    yield row("WT-02", "Watts-Gleeson", "final fraction", list(said.values()), ours)
    said = published("GK-02")["expected"]["extent_theory"]
    laws = [windows.poisson_law(float(z)) for z in said]
    ours = [windows.contagion_extent(law, np.arange(len(law)) // 5 + 1) for law in laws]
    yield row("GK-02", "Gai-Kapadia", "extent in theory", list(said.values()), ours)


def others() -> Iterator[Row]:
    given, said = inputs("EGJ-01")
    dependency = cross_holdings.dependency_matrix(np.array(given["C"], float))
    yield row("EGJ-01", "Elliott-Golub-Jackson", "dependency", said["A"], dependency)
    given, said = inputs("EGJ-02")
    dependency = cross_holdings.dependency_matrix(given["C"])
    limits = 0.9 * (dependency @ given["Dp_before"])
    failed = cross_holdings.failure_cascade(dependency, given["Dp_after"], limits, given["beta"])
    yield row("EGJ-02", "Elliott-Golub-Jackson", "values after", said["v_after"], failed.values)
    yield row("EGJ-02", "Elliott-Golub-Jackson", "waves", len(said["waves"]), len(failed.waves))
    given, said = inputs("DD-01")
    best = bank_run.optimal_contract(given["R"], given["t"], 2)
    yield row("DD-01", "Diamond-Dybvig", "contract", [said["optimal_c1"], said["optimal_c2"]], best)
    ours = bank_run.run_threshold(given["R"], given["r1"])
    yield row("DD-01", "Diamond-Dybvig", "run threshold", said["run_threshold_fraction"], ours)
    given, said = inputs("KY-01")
    single = kyle.single_auction(given["sigma_v"], given["sigma_u"])
    yield row("KY-01", "Kyle", "impact", said["lambda_"], single.impact)
    two = kyle.sequential_auctions(given["sigma_v"], given["sigma_u"], 2)
    yield row("KY-01", "Kyle", "impact of two auctions", said["two_auctions"]["lambda_"], two.impact)


def of_others() -> Iterator[Row]:
    """Yield rows of cases with data of others."""
    case = third_party("DR-03")
    given, said = case["inputs"], case["expected"]
    count = given["n"]
    exposures = np.zeros((count, count))
    for creditor, debtor, amount in given["edges_i_j_exposure"]:
        exposures[creditor, debtor] = amount
    equity = np.array(given["buffer"], float)
    for name, _, stress, *_ in said["readme_top10_rounded"][:3]:
        shock = np.zeros(count)
        shock[int(name[1:]) - 1] = 1.0
        found = debtrank.differential(exposures, equity, shock, capped=False)
        ours = round(float(debtrank.debtrank(found, given["weights"])), 2)
        yield row("DR-03", "DebtRank", f"stress by {name}, to two digits", stress, ours)
    case, banks = third_party("FS-01"), stressed_banks()
    told, last, defaults = [], [], []
    for name, terms in case["inputs"]["scenarios"].items():
        steps = system_fire_sale.system_fire_sale(
            *banks, price_shock=[0, terms["shock"]], impact=terms["price_impact"], buffer=terms["lam_buffer"]
        )
        told.append(case["expected"][name])
        last.append(steps[-1])
        defaults.append(sum(step.defaults.size for step in steps))
    yield row("FS-01", "EBA-2018", "defaults", [each["total_defaults"] for each in told], defaults)
    prices = [step.prices[1] for step in last]
    yield row("FS-01", "EBA-2018", "price of government bonds", [each["p_gov"] for each in told], prices)
    sold = [each["fraction_tradable_sold"][-1] for each in told]
    yield row("FS-01", "EBA-2018", "part of holdings sold", sold, [step.sold for step in last])


def inputs(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    case = published(name)
    return case["inputs"], case["expected"]


FAMILIES: tuple[Callable[[], Iterator[Row]], ...] = (
    eisenberg_noe, rogers_veraart, furfine, distress, fire_sales, graphs, others
)  # fmt: skip


def rows() -> list[Row]:
    """Return all rows that can be computed here."""
    return [row for family in (*FAMILIES, *([of_others] if EVIDENCE.exists() else [])) for row in family()]


def table(found: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = "| case | model | quantity | published | ours | difference |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(row.text() for row in found) + "\n"


def with_table(page: str, text: str) -> str:
    """Return a page with the table between its marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    made = table(rows())
    if "--check" in sys.argv:
        print(made)
    elif not EVIDENCE.exists():
        sys.exit("cases with the data of others are not beside the checkout: the page would lose their rows")
    else:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8", newline="\n")
