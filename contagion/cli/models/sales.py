"""Models of banks that hold the same assets: what one has to sell, the others lose by."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contagion.cli.models.outcome import Outcome, assets_of, refuse, refuse_insolvent, seeds_of, struck, two_waves

if TYPE_CHECKING:
    from contagion.readers.holdings import Holdings


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


def _equity(holdings: "Holdings") -> Any:
    import numpy as np

    if "equity" not in holdings.columns:
        what = "the model needs equity; expected a column 'equity'; give a file of banks with --nodes"
        raise refuse(holdings, what)
    equity = holdings.columns["equity"]
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
    return holdings.asset_columns["price_shock"]
