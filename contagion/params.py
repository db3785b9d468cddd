"""The types of a scenario's values and the words for what is wrong with them.

Every parameter class is a frozen pydantic model that forbids unknown keys. Numbers are exact decimals,
durations carry their unit, and an error says where, what was expected and what was probably meant.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, get_args

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from contagion.errors import closest, missing
from contagion.units import parse_duration, parse_number


class Params(BaseModel):
    """Parameters of a node, an edge or a shock: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        value = _own(value)
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, bool) and field is not None and field.annotation in (int, int | None):
            raise ValueError(f"a number was expected, not {str(value).lower()}")
        return value


def _own(value: Any) -> Any:
    """Return a number of NumPy's, as graphs made from arrays have them, as one of Python's; all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _duration(value: Any) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0
    raise ValueError(f"a duration is text with a unit such as '12s' or '15min', not {value!r}")


def _number(value: Any) -> Decimal:
    value = _own(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"a number was expected, not {value!r}")
    return parse_number(repr(value) if isinstance(value, float) else value)


_NUMBER = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
_DURATION = WithJsonSchema({"type": "string", "examples": ["12s", "15min", "1h 30min"]})

Duration = Annotated[int, BeforeValidator(_duration), _DURATION]
"""Microseconds, written with a unit."""
Number = Annotated[Decimal, BeforeValidator(_number), _NUMBER]
"""An exact number; '5%' and '25bps' are understood."""
Amount = Annotated[Number, Field(ge=0)]
"""A number of whole tokens, not negative."""
Positive = Annotated[Number, Field(gt=0)]
"""A number above zero."""
Share = Annotated[Number, Field(ge=0, le=1)]
"""A ratio between 0 and 1."""
Rate = Annotated[Number, Field(ge=-1, le=100)]
"""An annual rate."""


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return every problem of a validation as (path, what), with the nearest known key where one is unknown."""
    items = error.errors(include_url=False)
    unknown = [item["loc"] for item in items if item["type"] == "extra_forbidden"]
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for item in items:
        path, key = item["loc"], str(item["loc"][-1]) if item["loc"] else ""
        what = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            what = f"unknown key {key[:60]!r}{closest(key[:200], _known_keys(model, path[:-1]))}"
        elif item["type"] == "missing":
            what = missing(key, (str(other[-1])[:60] for other in unknown if other[:-1] == path[:-1]))
        elif item["type"] != "value_error":
            what += f" (got {short(item.get('input'))})"
        problems.append((tuple(part for part in path if part != "[key]"), what))  # pydantic's mark of a table's key
    return problems


def _known_keys(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Return the keys of the table at a path below a model's own; names and numbers in between are passed through."""
    models = [model]
    for part in path:
        inner = [m.model_fields[part].annotation for m in models if isinstance(part, str) and part in m.model_fields]
        models = [found for annotation in inner for found in _models_in(annotation)] if inner else models
    return [key for found in models for key in found.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield every model inside an annotation such as ``dict[str, Reserve] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def short(value: Any) -> str:
    """Return a value as a complaint shows it: at most 60 characters."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: decimals and NumPy's numbers become numbers, tuples lists."""
    value = _own(value)
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, Decimal) and not value.is_finite():
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _known(what: str) -> Any:
    def check(value: str, info: ValidationInfo) -> str:
        names = (info.context or {}).get(what)
        if names is not None and value not in names:
            raise ValueError(f"there is no {what} {value[:60]!r}{closest(value, names)}")
        return value

    return AfterValidator(check)


AssetName = Annotated[str, _known("asset")]
"""The name of an asset node."""
NodeName = Annotated[str, _known("node")]
"""The name of any node."""
