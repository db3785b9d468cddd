"""The classical models that `clear` runs: a model is one entry of `MODELS`.

Each takes exposures, or holdings, and options, and returns an `Outcome`; it says which options it knows and which it
cannot do without. Nothing heavy is imported before a model runs.
"""

from collections.abc import Mapping

from contagion.cli.models import lending, sales
from contagion.cli.models.outcome import Model

HOLDINGS = "holdings"
_CLEARING = ("senior", "solution")
_FALL = ("shock", "seed_asset")

MODELS: Mapping[str, Model] = {
    "eisenberg-noe": Model(
        "clearing payments; a default costs nothing by itself",
        _CLEARING, (), lending.eisenberg_noe,
    ),
    "rogers-veraart": Model(
        "clearing payments; a default costs a share of what there is",
        (*_CLEARING, "alpha", "beta"), ("alpha", "beta"), lending.rogers_veraart,
    ),
    "furfine": Model(
        "defaults that make creditors default, by loss given default",
        ("seed_bank", "lgd"), ("seed_bank", "lgd"), lending.furfine,
    ),
    "threshold": Model(
        "failures by the share of debtors, in number, that have failed (Watts)",
        ("seed_bank", "threshold"), ("seed_bank", "threshold"), lending.threshold,
    ),
    "debtrank": Model(
        "distress before default, passed on again and again (2015)",
        ("seed_bank", "shock"), ("shock",), lending.debtrank,
    ),
    "debtrank-2012": Model(
        "distress before default, passed on once (2012)",
        ("seed_bank", "shock"), ("shock",), lending.debtrank_2012,
    ),
    "neva": Model(
        "claims valued by the equity of who owes them, before they are due",
        ("seed_bank", "shock", "valuation"), ("shock", "valuation"), lending.neva,
    ),
    "cross-holdings": Model(
        "shares in each other, and failures that cost (Elliott, Golub, Jackson)",
        ("seed_bank", "shock", "threshold"), ("shock", "threshold"), lending.cross_holdings,
    ),
    "cifuentes-ferrucci-shin": Model(
        "clearing payments while banks sell one asset to keep a capital ratio",
        ("solution", "minimum_ratio", "depth"), ("minimum_ratio", "depth"), sales.cifuentes_ferrucci_shin,
    ),
    "greenwood-landier-thesmar": Model(
        "fire sales back to the old leverage, one round; a file of holdings",
        (*_FALL, "depth"), (), sales.greenwood_landier_thesmar, HOLDINGS,
    ),
    "cont-schaanning": Model(
        "fire sales beyond a leverage limit, round by round; a file of holdings",
        (*_FALL, "depth", "max_leverage", "target_leverage"), ("max_leverage", "target_leverage"),
        sales.cont_schaanning, HOLDINGS,
    ),
    "caccioli": Model(
        "the failed sell all they hold, which fails others; a file of holdings",
        ("seed_bank", *_FALL, "impact"), ("impact",), sales.caccioli, HOLDINGS,
    ),
    "eba-2018": Model(
        "fire sales in steps, below a buffer and after a default; a file of holdings",
        (*_FALL, "impact", "buffer_ratio", "minimum_ratio", "target_ratio", "steps"), ("impact", "buffer_ratio"),
        sales.eba_2018, HOLDINGS,
    ),
}  # fmt: skip
"""Every model by the name that `--model` takes."""
