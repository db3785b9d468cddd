"""Values of a scenario changed by their dotted paths, and where a file states what stands at a path.

A path goes through tables by their keys, which may themselves have dots in them, and through lists by number or by the
name of an item: ``nodes.pool.fee``, ``shocks.0.size``, ``shocks.eth.size``.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contagion.errors import closest
from contagion.graph import edge_name


def override(table: Any, keys: Sequence[str], value: Any) -> None:
    """Set a value by its path, copying what lies on the way; KeyError where the path leads nowhere."""
    if isinstance(table, list) and keys:
        names = [_item_name(item) for item in table]
        places = {str(number): number for number in range(len(table))}
        places |= {name: number for number, name in reversed(list(enumerate(names)))}
        if keys[0] not in places:
            raise KeyError(f"there is no item {keys[0]!r}{closest(keys[0], names)}")
        number = places[keys[0]]
        table[number] = copy.copy(table[number])
        override(table[number], keys[1:], value)
        return
    if not isinstance(table, dict) or not keys:
        raise KeyError("the path leads into a plain value")
    for length in range(len(keys) - 1, 0, -1):
        if (name := ".".join(keys[:length])) in table:
            table[name] = copy.copy(table[name])
            override(table[name], keys[length:], value)
            return
    if len(keys) > 1:
        raise KeyError(f"there is no {keys[0]!r}{closest(keys[0], map(str, table))}")
    table[keys[0]] = value


def stated_by(keys: Iterable[str], path: Sequence[str | int], data: Mapping[str, Any]) -> str | None:
    """Return which of some dotted paths says what stands at a path of a scenario, the nearest; None for none.

    >>> data = {"shocks": [{"name": "eth", "size": 1}]}
    >>> stated_by(["horizon", "shocks.eth.size"], ("shocks", 0, "size"), data)
    'shocks.eth.size'
    >>> stated_by(["nodes.pool.reserves.eth"], ("nodes", "pool", "reserves"), {})
    'nodes.pool.reserves.eth'
    """
    steps = [str(step) for step in path]
    forms = [".".join(steps) + "."]
    items = data.get(steps[0]) if len(steps) > 1 else None
    if isinstance(items, list) and isinstance(number := path[1], int) and number < len(items):
        forms.append(".".join([steps[0], _item_name(items[number]), *steps[2:]]) + ".")
    near = [
        key
        for key in keys
        for form in forms
        if form.startswith(f"{key}.") or (steps[1:] and f"{key}.".startswith(form))
    ]
    return max(near, key=len, default=None)


def _item_name(item: Any) -> str:
    """Return by what an item of a list is named: its own name or, of one edge between two nodes, that edge's."""
    facts = item if isinstance(item, dict) else {}
    ends = (facts.get("from"), facts.get("to"))
    if facts.get("name") or not all(isinstance(end, str) for end in ends):
        return str(facts.get("name", ""))
    return edge_name(str(ends[0]), str(ends[1]), facts)
