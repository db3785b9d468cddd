"""The summary of a run as an object: its keys are attributes, and a wrong one is answered with the near ones."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn, Self

import contagion
from contagion.errors import closest

_FIRST = 12


class Summary(SimpleNamespace):
    """A table of a summary: ``summary.total_losses.net``, and ``summary.prices["usde-pool"]`` where a name is no word.

    Tables inside it are summaries as well; `in`, `len` and iteration are about its keys.

    >>> summary = Summary.of({"failures": 3, "prices": {"usde-pool": {"low": 0.6}}})
    >>> summary.failures, summary.prices["usde-pool"].low, list(summary)
    (3, 0.6, ['failures', 'prices'])
    >>> summary.failure
    Traceback (most recent call last):
        ...
    AttributeError: the summary has no 'failure'; did you mean 'failures'?
    """

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the summary of a table of numbers, words, lists and further tables."""
        return cls(**{str(key): cls.of(value) if isinstance(value, Mapping) else value for key, value in facts.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain dictionaries, as `summary.json` has it."""
        return {
            key: Summary.to_dict(value) if isinstance(value, Summary) else value for key, value in vars(self).items()
        }

    def __getitem__(self, key: str) -> Any:
        if key not in vars(self):
            raise KeyError(f"the summary has no {key!r}{closest(key, vars(self))}")
        return vars(self)[key]

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"the summary has no {name!r}{closest(name, vars(self))}")

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def __len__(self) -> int:
        return len(vars(self))

    def __contains__(self, key: object) -> bool:
        return key in vars(self)

    def __repr__(self) -> str:
        """Return a line a key; a table inside it is told by its size where it is large."""
        lines = (f"  {key}: {shown(value) or 'none'}" for key, value in vars(self).items())
        return "\n".join(["Summary", *lines]) if vars(self) else "Summary (empty)"

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        return str(contagion.view("summary_html")(self))


def shown(value: Any, width: int = 100) -> str:
    """Return a value of a summary in one line: what is larger is told by its size.

    >>> shown({"mean": 1.98487, "p95": 3.4}), shown(11_322_275.7158), shown(list(range(30)))
    ('mean 1.98487, p95 3.4', '11,322,275.72', '30 numbers: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...')
    """
    if isinstance(value, Mapping | Summary):
        table = vars(value) if isinstance(value, Summary) else value
        if not any(isinstance(item, Mapping | Summary) for item in table.values()):
            inside = ", ".join(f"{key} {shown(item)}" for key, item in table.items())
            if len(inside) <= width:
                return inside
        names = ", ".join(map(str, table))
        return f"{len(table)} inside: {names if len(names) <= width - 30 else names[: width - 33] + '...'}"
    if isinstance(value, list):
        first = ", ".join(map(shown, value[:_FIRST]))
        return first if len(value) <= _FIRST else f"{len(value)} numbers: {first}, ..."
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1_000 else f"{value:.6g}"
    return str(value)
