from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from gptrilogy.config import Config, in_part, merge, parse, read_toml, suggest
from gptrilogy.errors import ConfigError

trees = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers()),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.integers() | inner),
    max_leaves=8,
)


class Engine(Config):
    power_kw: float = Field(default=50.0, gt=0)
    cylinders: int = 4


class Car(Config):
    name: str
    wheels: int = Field(default=4, ge=3)
    engine: Engine = Engine()
    spares: tuple[int, ...] = ()

    def check(self) -> None:
        if self.wheels == 3 and self.engine.cylinders > 2:
            raise ValueError(f"three wheels carry at most 2 cylinders, got {self.engine.cylinders}")


class Garage(Config):
    car: Car


CAR = Car(name="van")


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CAR.wheels = 5


def test_a_change_of_one_field_leaves_its_siblings() -> None:
    car = CAR.replace(engine={"cylinders": 8})
    assert car == Car(name="van", engine=Engine(cylinders=8))
    assert CAR.engine.cylinders == 4
    assert car.replace(spares=[1, 2]).spares == (1, 2)


def test_a_change_is_checked_with_the_whole() -> None:
    with pytest.raises(ConfigError, match=r"^three wheels carry at most 2 cylinders, got 4$"):
        CAR.replace(wheels=3)
    assert CAR.replace(wheels=3, engine={"cylinders": 2}).wheels == 3
    with pytest.raises(ConfigError, match=r"^three wheels carry at most 2 cylinders, got 4$"):
        parse(Garage, {"car": {"name": "van", "wheels": 3}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "name is missing"),
        ({"name": "van", "wheels": 2}, "wheels: input should be greater than or equal to 3, got 2"),
        ({"name": "van", "wheel": 4}, "unknown field wheel: did you mean wheels?"),
        ({"name": "van", "engine": {"cylinder": 4}}, "unknown field engine.cylinder: did you mean cylinders?"),
        ({"name": "van", "colour": "red"}, "unknown field colour: known: name, wheels, engine, spares"),
        ({"name": "van", "engine": {"power_kw": 0}}, "engine.power_kw: input should be greater than 0, got 0"),
        ({"name": "van", "engine": 3}, "engine: input should be a valid dictionary or instance of Engine, got 3"),
        (
            {"name": "van", "engine": {"power_kw": float("nan")}},
            "engine.power_kw: input should be a finite number, got nan",
        ),
        ({"name": "van", "spares": [1, "x"]}, "spares.1: input should be a valid integer"),
        ({"name": 7}, "name: input should be a valid string, got 7"),
        ([], "Input should be a valid dictionary or instance of Car"),
    ],
)
def test_an_error_names_the_field_the_value_and_the_remedy(values: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(Car, values)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        parse(Car, {"wheels": 1, "seat": 2, "engine": {"power": 9, "cylinders": "many"}})
    parts = str(raised.value).split("; ")
    assert [part.split(":")[0] for part in parts] == [
        "name is missing",
        "wheels",
        "engine.cylinders",
        "unknown field engine.power",
        "unknown field seat",
    ]


@given(base=trees, changes=trees)
def test_a_merge_takes_every_changed_leaf_and_keeps_every_other(base: dict[str, Any], changes: dict[str, Any]) -> None:
    merged = merge(base, changes)
    old, new, found = leaves(base), leaves(changes), leaves(merged)
    assert {path: found[path] for path in new} == new
    for path, value in old.items():
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in new):
            assert found.get(path, value) == value
    assert merge(merged, changes) == merged
    assert merge(base, {}) == base


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Every value that is no tree, by the keys that lead to it."""
    found: dict[tuple[str, ...], int] = {}
    for key, value in tree.items():
        found |= leaves(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
    return found


def test_toml_gives_the_fields_it_sets(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text('name = "né"\n[engine]\ncylinders = 6\n', encoding="utf-8")
    assert read_toml(path) == {"name": "né", "engine": {"cylinders": 6}}
    assert parse(Car, read_toml(path)).engine == Engine(cylinders=6)


@pytest.mark.parametrize("content", [b"name = ", b"name = \xff", b"[a]\n[a]\n", b"a = 1\na = 2\n"])
def test_what_is_not_toml_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"car\.toml is not valid TOML: "):
        read_toml(path)


def test_a_config_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the config file .*absent\.toml: No such file"):
        read_toml(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"cannot read the config file .*: Is a directory"):
        read_toml(tmp_path)


def test_a_remedy_is_the_nearest_name_or_all_of_them() -> None:
    assert suggest("weels", ["wheels", "name"]) == "did you mean wheels?"
    assert suggest("colour", iter(["wheels", "name"])) == "known: wheels, name"
    assert suggest("colour", map(str, range(50))) == "known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 38 more"


class Span(Config):
    low: int = 0
    high: int = 10

    def check(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}")


def test_a_rule_over_several_fields_waits_until_all_of_them_are_there() -> None:
    with in_part():
        flags = Span(low=20)
    assert parse(Span, merge({"high": 30}, flags.model_dump(exclude_unset=True))).low == 20
    with pytest.raises(ConfigError, match=r"^low must be at most high, got 20 and 10$"):
        parse(Span, flags.model_dump(exclude_unset=True))


def test_a_field_alone_is_checked_even_in_part() -> None:
    with in_part(), pytest.raises(ConfigError, match="low: "):
        parse(Span, {"low": "deep"})


class Inner(Config):
    weight: float = 1.0


class Outer(Config):
    by_name: dict[str, Inner] = {}  # noqa: RUF012 - pydantic copies it
    perhaps: Inner | None = None


@pytest.mark.parametrize("values", [{"by_name": {"web": {"wieght": 2}}}, {"perhaps": {"wieght": 2}}])
def test_an_unknown_field_of_a_config_in_a_mapping_or_an_optional_one_is_named_with_the_nearest(
    values: dict[str, object],
) -> None:
    with pytest.raises(ConfigError, match=r"unknown field .*\.wieght: did you mean weight\?"):
        parse(Outer, values)


def test_the_word_none_stands_for_nothing_where_a_field_may_be_none() -> None:
    assert parse(Outer, {"perhaps": "none"}).perhaps is None
    with pytest.raises(ConfigError, match="got 'none'"):
        parse(Inner, {"weight": "none"})
