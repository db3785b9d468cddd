"""Financial arithmetic: numbers in, numbers out, one published formula or contract per function.

Shocks. A `shock` is the fraction that is lost, positive for a loss, and is named after what it strikes: `price_shock`
by asset, `equity_shock` or `illiquid_shock` by bank. A `loss` is money, positive as well; a `fall` is the fraction by
which a price is lower. A change with a sign is what a scenario's `reprice` states, and nothing here.

Sources. Each function states its equation beside its source; "derived" is what follows from it here. An equation has
the number of its paper where that was seen together with the equation, and none else.
"""
