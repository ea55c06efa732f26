"""The sources by name."""

from importlib import import_module

import pytest

from pipeline.errors import DataError
from stages.datasets.catalogue import SOURCES, source_of


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_can_collect(name: str) -> None:
    assert callable(import_module(source_of(name).module).collect)


def test_an_unknown_source_offers_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'camvid'"):
        source_of("camvids")
