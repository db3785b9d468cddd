"""Published cases: model, inputs and expected outputs with a tolerance, one JSON file each."""

import json
from pathlib import Path
from typing import Any


def published(case_id: str) -> dict[str, Any]:
    """Return one case of ``tests/published`` by its id, such as ``'LEND-01'``."""
    path = Path(__file__).with_name("published") / f"{case_id}.json"
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case
