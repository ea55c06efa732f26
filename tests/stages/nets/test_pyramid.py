import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import NetworkError
from stages.nets.pyramid import PyramidPooling, averaging, pool

GRIDS = [(65, 129), (64, 128), (9, 13), (6, 6), (4, 5), (1, 1)]


def test_rows_average_the_cells_of_each_bin() -> None:
    assert averaging(4, 2) == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert averaging(5, 2) == [[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]]
    assert averaging(2, 3) == [[1, 0], [0.5, 0.5], [0, 1]]


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("grid", GRIDS)
def test_pooling_equals_adaptive_average_pooling(grid: tuple[int, int], bins: int) -> None:
    features = torch.randn(2, 3, *grid, generator=torch.Generator().manual_seed(0))
    expected = F.adaptive_avg_pool2d(features, bins)
    assert (pool(features, bins) - expected).abs().max() <= 1e-6
    in_double = F.adaptive_avg_pool2d(features.double(), bins)
    assert (pool(features.double(), bins) - in_double).abs().max() <= 1e-14


def test_pooling_follows_dtype_and_layout() -> None:
    features = torch.randn(2, 8, 9, 13).to(memory_format=torch.channels_last)
    expected = F.adaptive_avg_pool2d(features, 3)
    assert pool(features.bfloat16(), 3).dtype == torch.bfloat16
    torch.testing.assert_close(pool(features.bfloat16(), 3).float(), expected, atol=0.02, rtol=0)
    torch.testing.assert_close(pool(features, 3), expected, atol=1e-6, rtol=0)


def test_gradient_equals_that_of_adaptive_average_pooling() -> None:
    features = torch.randn(2, 3, 9, 13, requires_grad=True)
    weights = torch.randn(2, 3, 6, 6)
    (ours,) = torch.autograd.grad((pool(features, 6) * weights).sum(), features)
    (theirs,) = torch.autograd.grad((F.adaptive_avg_pool2d(features, 6) * weights).sum(), features)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_matrices_made_without_gradients_serve_a_later_training_pass() -> None:
    features = torch.randn(1, 2, 7, 11)
    with torch.inference_mode():
        pool(features, 2)
    scale = nn.Parameter(torch.ones(2, 1, 1))
    pool(features * scale, 2).sum().backward()
    assert scale.grad is not None


class Pool(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return pool(features, 3)


def test_a_traced_graph_leaves_no_tracer_tensors_behind() -> None:
    features = torch.randn(1, 2, 10, 14)
    program = torch.export.export(Pool(), (features,))
    expected = F.adaptive_avg_pool2d(features, 3)
    torch.testing.assert_close(program.module()(features), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(pool(features, 3), expected, atol=1e-6, rtol=0)


def test_fused_map_is_the_features_beside_the_resized_bins() -> None:
    pyramid = PyramidPooling(8, 2, 3).eval()
    features = torch.randn(1, 8, 9, 13)
    with torch.no_grad():
        branches = [
            F.interpolate(branch(F.adaptive_avg_pool2d(features, bins)), (9, 13), mode="bilinear", align_corners=True)
            for bins, branch in zip((1, 2, 3, 6), pyramid.branches, strict=True)
        ]
        expected = pyramid.fuse(torch.cat([*branches, features], dim=1))
        actual = pyramid(features)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_one_image_cannot_train() -> None:
    pyramid = PyramidPooling(8, 2, 3)
    features = torch.randn(1, 8, 9, 13)
    with pytest.raises(NetworkError, match="at least 2 images per process"):
        pyramid(features)
    assert pyramid.eval()(features).shape == (1, 3, 9, 13)
