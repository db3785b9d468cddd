"""Models of banks that hold the same assets: what one has to sell, the others lose by."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contagion.cli.models.outcome import (
    Outcome,
    assets_of,
    columns_of,
    refuse,
    refuse_insolvent,
    seeds_of,
    struck,
    two_waves,
)

if TYPE_CHECKING:
    from contagion.readers.exposures import Exposures
    from contagion.readers.holdings import Holdings

MOST_SOLD = 700
"""What is sold over the depth, beyond which a price of exp(-700) is none."""
ROUNDING = 1e-12
"""By so large a part may loans and equity exceed assets that are stated in decimals."""


def cifuentes_ferrucci_shin(exposures: "Exposures", options: Mapping[str, Any]) -> Outcome:
    """Return payments and a price that agree, when banks sell to keep a ratio (Cifuentes, Ferrucci and Shin 2005)."""
    import numpy as np

    from contagion.finance import fire_sale_clearing as model

    liquid, illiquid, outside = columns_of(
        exposures, cash="what a bank has in money", external_assets="what a bank can sell of the one asset",
        external_liabilities="what a bank owes to others than banks",
    )  # fmt: skip
    least, depth, owes = options["solution"] == "least", options["depth"], exposures.owes
    if not (most := float(illiquid.sum()) / depth) < MOST_SOLD:
        what = f"external assets of {illiquid.sum():.6g} are {most:.6g} times the depth, which leaves no price"
        raise refuse(exposures, f"{what}; expected a --depth well above {illiquid.sum() / MOST_SOLD:.3g}; is it money?")
    solve = model.least_fire_sale_clearing if least else model.fire_sale_clearing
    found = solve(liquid, illiquid, owes, outside, options["minimum_ratio"], 1 / depth)
    owed = owes.sum(axis=1) + outside
    share = np.divide(found.payments, owed, out=np.ones_like(owed), where=owed > 0)
    by_claims, by_price = owes.T @ (1 - share), (1 - found.price) * illiquid
    sold = np.divide(found.sales, illiquid, out=np.zeros_like(illiquid), where=illiquid > 0)
    columns = {"owed": owed, "paid": found.payments, "recovery": share, "sold": sold, "equity": found.equity}
    totals = {
        "loss of banks by defaults": float(by_claims.sum()),
        "loss of banks by sales": float(by_price.sum()),
        "loss of external creditors": float(outside @ (1 - share)),
    }
    notes = (
        f"the price of external assets ends at {found.price:.6f} of the first one; a bank in default sells everything",
        *(("the least solution, a panic, has no rounds: wave 1 is everybody in default",) if least else ()),
    )
    waves = [wave for wave in [np.flatnonzero(found.defaulted)] if wave.size] if least else found.waves
    return Outcome(waves, 1, by_claims + by_price, columns, totals, notes, rounds=not least)


def greenwood_landier_thesmar(holdings: "Holdings", options: Mapping[str, Any]) -> Outcome:
    """Return what one round of sales back to the old leverage costs (Greenwood, Landier and Thesmar 2015)."""
    import numpy as np

    from contagion.finance.deleveraging import spectral_radius, vulnerability

    equity, held = _equity(holdings), holdings.amounts.sum(axis=1)
    if len(weak := np.flatnonzero(equity > held)):
        name = holdings.names[weak[0]]
        what = f"{name!r} has more equity ({equity[weak[0]]:.6g}) than assets ({held[weak[0]]:.6g})"
        raise refuse(holdings, f"{what}; expected all that a bank has in the file of holdings, money too", "equity")
    banks = holdings.amounts.multiply(1 / held[:, None]).tocsr(), held, held / equity - 1, 1 / _depth(holdings, options)
    found = vulnerability(*banks, _price_shock(holdings, options))
    direct, indirect = found.direct * equity, found.indirect * equity
    columns = {"direct": direct, "by sales": indirect, "equity before": equity, "systemicness": found.systemicness}
    totals = {"loss by the shock": float(direct.sum()), "loss by sales": float(indirect.sum())}
    notes = (
        f"aggregate vulnerability is {found.aggregate:.2%} of all equity, systemicness each bank's part of that",
        f"another round of sales would be {spectral_radius(*banks):.3g} of the one before in the long run",
        "wave 0 is whom the shock leaves without equity, wave 1 whom sales do",
    )
    waves = two_waves(direct >= equity, direct + indirect >= equity)
    return Outcome(waves, 0, direct + indirect, columns, totals, notes, rounds=False)


def cont_schaanning(holdings: "Holdings", options: Mapping[str, Any]) -> Outcome:
    """Return rounds of sales by who is above its leverage limit (Cont and Schaanning 2017)."""
    import numpy as np

    from contagion.finance.leverage_constraint import indirect_contagion

    equity, depth = _equity(holdings), _depth(holdings, options)
    rest = holdings.columns.get("external_assets", np.zeros(len(equity))) + holdings.columns.get("cash", 0)
    found = indirect_contagion(
        holdings.amounts, rest, equity, depth, options["max_leverage"], options["target_leverage"],
        price_shock=_price_shock(holdings, options),
    )  # fmt: skip
    direct = equity - found.equity_after_shock
    kept = np.prod([1 - part.sold for part in found.rounds], axis=0) if found.rounds else np.ones(len(equity))
    columns = {"direct": direct, "by sales": found.equity_after_shock - found.equity, "equity": found.equity,
               "sold": 1 - kept}  # fmt: skip
    totals = {"loss by the shock": float(direct.sum()), "loss by sales": found.loss}
    notes = (
        f"rounds of sales: {len(found.rounds)}; wave 0 is whom the shock leaves without equity, wave 1 whom sales do",
        f"prices after them are at least {found.prices.min():.4f} of the first ones",
    )
    waves = two_waves(found.equity_after_shock <= 0, found.equity <= 0)
    return Outcome(waves, 0, equity - found.equity, columns, totals, notes, rounds=False)


def caccioli(holdings: "Holdings", options: Mapping[str, Any]) -> Outcome:
    """Return who fails when the failed sell all they hold (Caccioli et al. 2014)."""
    import numpy as np

    from contagion.finance.overlapping_portfolios import liquidation_cascade

    equity, seeds = _equity(holdings), seeds_of(holdings, options["seed_bank"])
    shock = np.zeros(len(holdings.assets)) if seeds and options["shock"] is None else _price_shock(holdings, options)
    found = liquidation_cascade(holdings.amounts, equity, seeds, impact=options["impact"], price_shock=shock)
    direct = holdings.amounts @ shock
    columns = {"direct": direct, "by sales": found.losses - direct, "equity before": equity}
    totals = {"loss by the shock": float(direct.sum()), "loss by sales": float((found.losses - direct).sum())}
    notes = (f"prices in the end are at least {found.prices.min():.4f} of the first ones; the failed sell everything",)
    return Outcome(found.waves, 0, found.losses, columns, totals, notes)


def eba_2018(holdings: "Holdings", options: Mapping[str, Any]) -> Outcome:
    """Return who defaults in steps of sales and repayments (Farmer and others 2020, in its reduced form)."""
    import numpy as np

    from contagion.finance.system_fire_sale import IMPACT_AT, system_fire_sale

    if not (least := options["minimum_ratio"]) < (target := options["target_ratio"]):
        what = f"the target of {target:g} is not above the minimum of {least:g}; expected --target-ratio above it"
        raise refuse(holdings, f"{what}; raise it, or lower --minimum-ratio", "--target-ratio")
    if not (impact := -np.expm1(-IMPACT_AT * options["impact"])) < 1:
        what = f"{options['impact']:g} leaves no price when {IMPACT_AT:.0%} is sold; expected a smaller --impact"
        raise refuse(holdings, f"{what}; is it a percentage?", "--impact")
    equity, held = _equity(holdings), holdings.amounts.sum(axis=1)
    cash, loans = columns_of(holdings, cash="what a bank has in money", loans="what a bank owes and can pay back")
    other = holdings.columns.get("external_assets", np.zeros(len(equity)))
    assets, known = held + cash + other, loans + equity
    if len(weak := np.flatnonzero(known > assets * (1 + ROUNDING))):
        bank = weak[0]
        what = (
            f"{holdings.names[bank]!r} has more loans and equity ({known[bank]:.6g}) than assets ({assets[bank]:.6g})"
        )
        raise refuse(holdings, f"{what}; expected all that a bank has: holdings, 'cash' and 'external_assets'")
    if (shock := _price_shock(holdings, options)).max(initial=0) >= 1:
        place = ("--shock", "nodes") if options["shock"] is not None else ("price_shock", "assets")
        raise refuse(holdings, "1 takes a whole price, which nobody could sell at; expected less than 1", *place)
    deposits = np.maximum(assets - known, 0)
    rules = {"impact": impact, "steps": options["steps"]}
    rules |= {key: options[f"{key}_ratio"] for key in ("buffer", "minimum", "target")}
    banks = (holdings.amounts, cash, other, loans, deposits)
    steps, control = (system_fire_sale(*banks, price_shock=fall, **rules) for fall in (shock, 0.0))
    last, direct, losses = steps[-1], holdings.amounts @ shock, equity - steps[-1].equity
    columns = {"direct": direct, "by sales": losses - direct, "equity": last.equity}
    totals = {"loss by the shock": float(direct.sum()), "loss by sales": float((losses - direct).sum())}
    count = max((number for number, step in enumerate(steps, 1) if step.defaults.size), default=0)
    notes = (
        f"{len(steps)} steps, a wave each; {last.sold:.2%} of all holdings sold; prices after them are at least "
        f"{last.prices.min():.4f} of the first ones",
        f"defaults without the shock: {sum(step.defaults.size for step in control):,}; what it adds is the difference",
    )
    return Outcome([step.defaults for step in steps[:count]], 1, losses, columns, totals, notes, rounds=False)


def _equity(holdings: "Holdings") -> Any:
    import numpy as np

    (equity,) = columns_of(holdings, equity="equity")
    weak = np.flatnonzero(equity <= 0)
    refuse_insolvent(holdings, weak, equity, "every bank's above 0; leave out who has failed already")
    return equity


def _depth(holdings: "Holdings", options: Mapping[str, Any]) -> Any:
    """Return the money that a sale at the first pace would take to bring each price to nothing."""
    import numpy as np

    if options["depth"] is not None:
        return np.full(len(holdings.assets), options["depth"])
    if "depth" not in holdings.asset_columns:
        what = "the model needs how deep markets are; expected --depth, or a column 'depth' in a file of assets"
        raise refuse(holdings, f"{what}; give that with --assets", form="assets")
    if not (depth := holdings.asset_columns["depth"]).all():
        what = f"a depth of 0 for {holdings.assets[int(depth.argmin())]!r}; expected one above 0"
        raise refuse(holdings, what, "depth", "assets")
    return depth


def _price_shock(holdings: "Holdings", options: Mapping[str, Any]) -> Any:
    """Return the fraction of its price that each asset loses first, by the options, else by the column."""
    if options["shock"] is not None:
        return struck(len(holdings.assets), assets_of(holdings, options["seed_asset"]), options["shock"])
    if "price_shock" not in holdings.asset_columns:
        what = "the model needs a shock; expected --shock, or a column 'price_shock' in a file of assets"
        raise refuse(holdings, f"{what}; give that with --assets", form="assets")
    if options["seed_asset"]:
        what = "says where --shock falls, and there is none; expected --shock, or the column 'price_shock' alone"
        raise refuse(holdings, what, "--seed-asset")
    falls = holdings.asset_columns["price_shock"]
    if falls.max(initial=0) > 1:
        what = f"{holdings.assets[int(falls.argmax())]!r} falls by {falls.max():g} of its price; expected 0 to 1"
        raise refuse(holdings, f"{what}; is it a percentage?", "price_shock", "assets")
    return falls
