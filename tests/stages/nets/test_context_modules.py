"""Context modules of several networks, by hand and against torch."""

import torch
from torch import nn
from torch.nn import functional as F

from stages.nets.ann import BINS, sampled
from stages.nets.aspp import AtrousPyramid
from stages.nets.icnet import doubled, halved, with_averages
from stages.nets.ocnet import ObjectContext
from stages.nets.ocrnet import region_features
from stages.nets.pidnet import PixelAttention
from stages.nets.pooling_context import DeepAggregation, ParallelAggregation, PooledBranches
from stages.nets.pp_liteseg import AttentionFusion, mean_and_maximum
from stages.nets.refinenet import ChainedPooling


def test_an_atrous_pyramid_has_the_rates_and_the_average() -> None:
    pyramid = AtrousPyramid(4, 8).eval()
    assert [branch[0].dilation[0] for branch in pyramid.branches] == [1, 12, 24, 36]
    seen = []
    pyramid.image.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.randn(2, 4, 5, 7)
    assert pyramid(x).shape == (2, 8, 5, 7)
    torch.testing.assert_close(seen[0], F.adaptive_avg_pool2d(x, 1))


def test_a_regions_feature_is_the_mean_over_its_cells() -> None:
    features = torch.tensor([[[[1.0, 2.0, 6.0]], [[0.0, 4.0, 8.0]]]])
    scores = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.0, 0.0, 99.0]]]])
    regions = region_features(scores, features)
    assert regions.shape == (1, 2, 2, 1)
    torch.testing.assert_close(regions[0, :, :, 0], torch.tensor([[3.0, 6.0], [4.0, 8.0]]))


def test_sampling_takes_the_averages_of_110_regions() -> None:
    x = torch.randn(2, 3, 16, 24)
    expected = torch.cat([F.adaptive_avg_pool2d(x, bins).flatten(2) for bins in BINS], dim=2)
    assert sampled(x).shape == (2, 110, 3)
    torch.testing.assert_close(sampled(x), expected.transpose(1, 2))


def test_object_context_of_an_even_map_is_that_map_transformed() -> None:
    context = ObjectContext(8).eval()
    x = torch.ones(1, 8, 5, 6) * torch.arange(8.0).view(1, 8, 1, 1)
    expected = context.fuse(context.out(context.value(x)))
    torch.testing.assert_close(context(x), expected)


def test_pooled_branches_see_the_declared_windows() -> None:
    branches = PooledBranches(1, 1).eval()
    x = torch.ones(1, 1, 16, 16)
    sizes = [tuple(pool(x).shape[-2:]) for pool in branches.pools]
    assert sizes == [(8, 8), (4, 4), (2, 2)]
    # Zeros beyond the edge count: 9 of the 25 cells of the first window lie inside.
    assert branches.pools[0](x)[0, 0, 0, 0].item() == torch.tensor(9 / 25).item()
    own, pooled = branches(x)
    assert {each.shape for each in (own, *pooled)} == {x.shape}


def test_parallel_aggregation_groups_what_deep_aggregation_chains() -> None:
    deep, parallel = DeepAggregation(16, 8, 4), ParallelAggregation(16, 8, 4)
    assert [smooth[2].groups for smooth in deep.smooth] == [1, 1, 1, 1]
    assert parallel.smooth[2].groups == 4
    x = torch.randn(2, 16, 3, 5)
    assert deep(x).shape == parallel(x).shape == (2, 4, 3, 5)


def test_pixel_attention_is_a_mean_between_its_maps() -> None:
    attention = PixelAttention(4, 2).eval()
    detail, context = torch.zeros(1, 4, 6, 8), torch.ones(1, 4, 3, 4)
    out = attention(detail, context)
    # The transform of zeros is 0, so likeness is 0 and the weight a half.
    torch.testing.assert_close(out, torch.full((1, 4, 6, 8), 0.5))


def test_attention_fusion_describes_both_maps() -> None:
    mean, maximum = mean_and_maximum(torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1))
    assert (mean.item(), maximum.item()) == (3, 6)
    fusion = AttentionFusion(3, 4, 5).eval()
    nn.init.zeros_(fusion.attention[1][0].weight)
    entered = fusion.enter(torch.ones(1, 3, 4, 4))
    coarse = torch.ones(1, 4, 2, 2)
    expected = fusion.smooth(0.5 * entered + 0.5 * torch.ones(1, 4, 4, 4))
    torch.testing.assert_close(fusion(torch.ones(1, 3, 4, 4), coarse), expected)


def test_chained_pooling_sums_its_links() -> None:
    pooling = ChainedPooling(1, links=2)
    for link in pooling.links:
        nn.init.zeros_(link[1].weight)
        nn.init.constant_(link[1].weight[..., 1, 1], 2.0)
    x = torch.full((1, 1, 7, 7), 3.0)
    assert pooling(x).eq(3 + 6 + 12).all()
    assert pooling(-x).eq(0).all()


def test_a_cascade_halves_and_doubles_with_corners_in_place() -> None:
    x = torch.arange(5.0).expand(1, 1, 3, 5)
    assert halved(x)[0, 0, 0].tolist() == [0, 2, 4]
    assert doubled(x).shape == (1, 1, 6, 10)
    assert doubled(x)[0, 0, 0, [0, -1]].tolist() == [0, 4]


def test_averages_are_added_to_the_map() -> None:
    x = torch.randn(1, 2, 12, 18)
    expected = x + sum(
        F.interpolate(F.adaptive_avg_pool2d(x, bins), (12, 18), mode="bilinear", align_corners=True)
        for bins in (1, 2, 3, 6)
    )
    torch.testing.assert_close(with_averages(x), expected)
