import torch
from torch.nn import functional as F

from stages.nets.attention import as_map, attend, cells


def test_attention_equals_torchs() -> None:
    queries, keys, values = torch.randn(2, 6, 4), torch.randn(2, 9, 4), torch.randn(2, 9, 5)
    expected = F.scaled_dot_product_attention(queries, keys, values)
    torch.testing.assert_close(attend(queries, keys, values), expected)


def test_equal_keys_give_the_mean_of_the_values() -> None:
    values = torch.tensor([[[1.0], [2.0], [6.0]]])
    assert attend(torch.randn(1, 2, 4), torch.ones(1, 3, 4), values).allclose(torch.full((1, 2, 1), 3.0))


def test_cells_go_row_by_row_and_come_back() -> None:
    x = torch.arange(12.0).reshape(1, 2, 2, 3).to(memory_format=torch.channels_last)
    assert cells(x)[0].tolist() == [[0, 6], [1, 7], [2, 8], [3, 9], [4, 10], [5, 11]]
    back = as_map(cells(x), torch.zeros(1, 1, 2, 3))
    assert torch.equal(back, x)
    assert back.is_contiguous(memory_format=torch.channels_last)
