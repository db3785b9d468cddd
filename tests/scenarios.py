"""A scenario as people write it: somebody sells ether, two borrowers follow one after the other."""

CASCADE = """\
name = "two-borrowers"
title = "A sale and two borrowers"
horizon = "10min"
monotone = true

[nodes.usd]
kind = "asset"

[nodes.eth]
kind = "asset"
decimals = 9
price = 2000
market = "pool"

[nodes.pool]
kind = "amm"
assets = ["eth", "usd"]
fee = 0
balances = { eth = 10_000, usd = 20_000_000 }

[nodes.oracle]
kind = "oracle"
asset = "eth"
source = "pool"

[nodes.lender]
kind = "lending_protocol"
block_time = 0

[nodes.lender.reserves]
eth = { ltv = 0.8, threshold = 0.8, bonus = 0.05, protocol_fee = 0 }
usd = { borrowable = true }

[nodes.keeper]
kind = "liquidator"
unconditional = true
balances = { usd = 10_000_000 }

[nodes.suppliers]
kind = "account"

[nodes.first]
kind = "account"

[nodes.second]
kind = "account"

[[edges]]
role = "prices"
from = "pool"
to = "oracle"
latency = "1s"

[[edges]]
role = "prices"
from = "oracle"
to = "lender"
name = "oracle-feed"

[[edges]]
role = "prices"
from = "usd"
to = "lender"

[[edges]]
role = "liquidations"
from = "lender"
to = "keeper"

[[edges]]
role = "trades"
from = "keeper"
to = "pool"

[[edges]]
role = "claims"
from = "lender"
to = "suppliers"
asset = "usd"
quantity = 5_000_000

[[edges]]
role = "borrows"
from = "first"
to = "lender"
collateral = { eth = 500 }
debt = { usd = 760_000 }

[[edges]]
role = "borrows"
from = "second"
to = "lender"
collateral = { eth = 500 }
debt = { usd = 725_000 }

[[edges]]
role = "lends"
from = "lender"
to = "first"

[[edges]]
role = "lends"
from = "lender"
to = "second"

[[shocks]]
kind = "sale"
market = "pool"
asset = "eth"
quantity = 350
at = "1s"

[switches.liquidators]
about = "nobody liquidates"
remove = ["keeper"]

[reduced]
"shocks.0.quantity" = 300
"""
