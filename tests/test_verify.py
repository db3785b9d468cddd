"""`verify` compares what is stored, not only what the manifest says of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from contagion.cli import main
from contagion.errors import BadInput
from contagion.scenario import loads

TEXT = """
name = "small"
horizon = "1min"
[nodes.usd]
kind = "asset"
[nodes.eth]
kind = "asset"
price = 2
[nodes.pool]
kind = "amm"
assets = ["eth", "usd"]
balances = { eth = 100, usd = 200 }
[[shocks]]
kind = "sale"
market = "pool"
asset = "eth"
quantity = 5
"""


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(TEXT, encoding="utf-8")
    arguments = ["run", str(tmp_path / "small.toml"), "-o", str(tmp_path / "out"), "--quiet"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    return tmp_path / "out"


def test_an_untouched_run_is_reproduced(stored: Path) -> None:
    assert CliRunner().invoke(main, ["verify", str(stored), "--quiet"]).exit_code == 0


def test_an_edited_table_is_not_what_the_run_gives(stored: Path) -> None:
    table = pq.read_table(stored / "events.parquet")
    place = table.column_names.index("quantity")
    pq.write_table(table.set_column(place, "quantity", pa.array([7] * table.num_rows)), stored / "events.parquet")
    result = CliRunner().invoke(main, ["verify", str(stored), "--quiet"])
    assert result.exit_code == 4
    assert "stored events" in result.stdout


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('name = "small"', 'name = "small"\nseed = true', "seed: a number was expected, not true"),
        (
            'kind = "amm"',
            'kind = "amm"\ncurve = "stableswap"\namplification = true',
            "amplification: a number was expected, not true",
        ),
        ("[[shocks]]", '[[targets]]\nid = "x"\nkey = "y"\nlow = nan\nhigh = 1\n[[shocks]]', "finite"),
    ],
)
def test_truth_values_and_bounds_without_end_are_no_numbers(old: str, new: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        loads(TEXT.replace(old, new))


def test_a_graph_without_assets_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one node of kind 'asset'"):
        loads('name = "x"\n[nodes]\n')
