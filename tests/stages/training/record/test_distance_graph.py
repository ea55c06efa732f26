"""The averaged distance graph against numbers worked out by hand."""

import pytest
import torch

from stages.training.record.distance_graph import DistanceGraph

LABELS = torch.tensor([[[0, 0, 1, 1], [2, 2, 255, 255]]], dtype=torch.uint8)


def one_channel(*values: float) -> torch.Tensor:
    """A map of one channel that holds `values` on class 0, 1 and 2 of LABELS, and 99 where no class is."""
    a, b, c = values
    return torch.tensor([[[[a, a, b, b], [c, c, 99.0, 99.0]]]])


def test_each_image_is_relative_to_its_mean_and_images_are_averaged() -> None:
    graph = DistanceGraph(4)
    graph.add(one_channel(0.0, 3.0, 3.0), LABELS)
    graph.add(one_channel(0.0, 0.0, 20.0), LABELS)
    found = graph.to_json()
    # First image: distances 3, 3, 0 with mean 2; second: 0, 20, 20 with mean 40/3.
    assert found["relative"][0] == [None, 0.75, 1.5, None]
    assert found["relative"][1] == [0.75, None, 0.75, None]
    assert found["relative"][3] == [None] * 4
    assert found["mean_distance"] == pytest.approx((2 + 40 / 3) / 2)


def test_a_pair_is_averaged_over_the_images_that_have_both() -> None:
    graph = DistanceGraph(3)
    graph.add(one_channel(0.0, 3.0, 3.0), LABELS)
    graph.add(one_channel(0.0, 7.0, 0.0), LABELS.where(LABELS != 2, 255))
    assert graph.to_json()["relative"][0] == [None, 1.25, 1.5]


def test_an_image_of_one_class_tells_nothing() -> None:
    graph = DistanceGraph(3)
    graph.add(one_channel(1.0, 2.0, 3.0), torch.zeros_like(LABELS))
    assert graph.to_json() == {"relative": [[None] * 3] * 3, "mean_distance": None}


def test_scale_and_width_of_the_features_do_not_matter() -> None:
    narrow, wide = DistanceGraph(3), DistanceGraph(3)
    map_11hw = one_channel(0.0, 1.0, 5.0)
    narrow.add(map_11hw, LABELS)
    wide.add(torch.cat([10 * map_11hw, 10 * map_11hw], dim=1), LABELS)
    assert narrow.to_json()["relative"] == wide.to_json()["relative"]
