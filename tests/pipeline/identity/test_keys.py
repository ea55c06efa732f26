"""Which parts of a config make a key, and which do not."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from pipeline.errors import RecipeError
from pipeline.identity.keys import config_identity, key_of, machine_settings, sources_identity
from pipeline.identity.statcache import StatCache
from pipeline.stage import AbsentAt, Mark, StageConfig


class Term(StageConfig):
    weight: float = 1.0
    ramp: Annotated[tuple[float, float] | None, AbsentAt(None)] = None


class Config(StageConfig):
    lr: float = 0.1
    root: Annotated[Path | None, Mark.MACHINE] = None
    workers: Annotated[int, Mark.NEUTRAL] = 2
    weights: Annotated[Path | None, Mark.CONTENT] = None
    ema: Annotated[float, AbsentAt(0.0)] = 0.0
    terms: dict[str, Term] = Field(default_factory=dict)


@pytest.fixture
def cache(tmp_path) -> StatCache:
    return StatCache(tmp_path / "cache.json")


def test_machine_and_neutral_fields_do_not_count(cache) -> None:
    assert config_identity(Config(root=Path("/data"), workers=7), cache, "s") == config_identity(Config(), cache, "s")
    assert machine_settings({"data": Config(root=Path("/data"))}) == {"data.root": Path("/data")}


def test_a_field_added_later_counts_only_away_from_its_neutral_value(cache) -> None:
    assert "ema" not in config_identity(Config(), cache, "s")
    assert config_identity(Config(ema=0.9), cache, "s")["ema"] == 0.9


def test_configs_inside_a_table_are_treated_alike(cache) -> None:
    plain = Config(terms={"pair": Term(weight=2.0)})
    assert config_identity(plain, cache, "s")["terms"] == {"pair": {"weight": 2.0}}
    ramped = Config(terms={"pair": Term(ramp=(0.0, 0.5))})
    assert config_identity(ramped, cache, "s")["terms"]["pair"]["ramp"] == [0.0, 0.5]


def test_a_named_file_counts_by_content_and_not_by_path(cache, tmp_path) -> None:
    first, second, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    other.write_bytes(b"others")
    identities = [config_identity(Config(weights=path), cache, "s") for path in (first, second, other)]
    assert identities[0] == identities[1] != identities[2]
    with pytest.raises(RecipeError, match=r"s\.weights"):
        config_identity(Config(weights=tmp_path / "none"), cache, "s")


def test_sources_count_by_name_and_content() -> None:
    assert sources_identity({"a": "1", "b": "2"}) == sources_identity({"b": "2", "a": "1"})
    assert sources_identity({"a": "1"}) != sources_identity({"a": "2"}) != sources_identity({"c": "2"})


def test_keys_do_not_depend_on_the_order_of_names() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
