"""The papers' tables as data."""

import csv
from pathlib import Path

import pytest

from gptrilogy.errors import ConfigError
from gptrilogy.papers.tables import FOLDER, TABLES, find_table


def test_every_file_belongs_to_a_table_and_every_table_has_rows() -> None:
    files = {path.name.removesuffix(".csv") for path in FOLDER.glob("*.csv")}
    assert files == {name for name, table in TABLES.items() if not table.drawn}
    assert all(table.rows for table in TABLES.values())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_a_file_is_a_rectangle_without_stray_white_space(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert {len(row) for row in rows} == {len(header)}
    assert len(set(header)) == len(header)
    assert all(cell == cell.strip() for row in [header, *rows] for cell in row)


def test_a_table_knows_its_paper_and_keeps_its_cells_as_printed() -> None:
    table = find_table("gpt2-3")
    assert (table.paper, table.source, table.certainty) == ("gpt2", "GPT2 Table 3", "once")
    row = next(row for row in table.rows if row["result"] == "gpt2-wikitext-103")
    assert row["gpt2-small"] == "37.50"


def test_the_complete_table_has_63_rows_in_three_settings() -> None:
    assert len(find_table("gpt3-h.1").rows) == 63 * 3
    assert len(find_table("gpt3-c.1").rows) == 42


def test_a_drawn_table_has_the_largest_model_and_the_state_of_the_art_only() -> None:
    rows = find_table("gpt3-3.6").rows
    assert len(rows) == 4 * 3
    assert dict(rows[0]) == {
        "result": "gpt3-piqa",
        "title": "PIQA",
        "metric": "acc",
        "setting": "zeroshot",
        "shots": "0",
        "split": "dev",
        "gpt3-175b": "81.0",
        "state of the art": "77.1",
        "175b on the test server": "",
    }


def test_an_unknown_table_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"^there is no table gpt3-h1; did you mean gpt3-h\.1\?$"):
        find_table("gpt3-h1")
