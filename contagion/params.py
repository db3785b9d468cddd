"""The types of a scenario's values and the words for what is wrong with them.

Every parameter class is a frozen pydantic model that forbids unknown keys. Numbers are exact decimals,
durations carry their unit, and an error says where, what was expected and what was probably meant.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

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

from contagion.errors import closest
from contagion.units import parse_duration, parse_number


class Params(BaseModel):
    """Parameters of a node, an edge or a shock: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, bool) and field is not None and field.annotation in (int, int | None):
            raise ValueError(f"a number was expected, not {str(value).lower()}")
        return value


def _duration(value: Any) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0
    raise ValueError(f"a duration is text with a unit such as '12s' or '15min', not {value!r}")


def _number(value: Any) -> Decimal:
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

_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required but missing",
}


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return every problem of a validation as (path, what), with the nearest known key where one is unknown."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if part != "[key]")  # pydantic's mark of a table's key
        what = _WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] == "extra_forbidden":
            what = f"unknown key {str(path[-1])[:60]!r}{closest(str(path[-1]), model.model_fields)}"
        elif item["type"] not in ("missing", "value_error"):
            what += f" (got {short(item.get('input'))})"
        problems.append((path, what))
    return problems


def short(value: Any) -> str:
    """Return a value as a complaint shows it: at most 60 characters."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: decimals become numbers, tuples lists."""
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
