import pytest
import torch

from stages.nets.discriminator import SMALLEST_PX, Discriminator, SelfAttention


def test_parameters_of_the_published_one() -> None:
    discriminator = Discriminator(19)
    assert sum(p.numel() for p in discriminator.parameters() if p.requires_grad) == 3_191_721


@pytest.mark.parametrize("size", [(65, 65), (SMALLEST_PX, SMALLEST_PX), (65, 129)])
def test_one_score_an_image(size: tuple[int, int]) -> None:
    assert Discriminator(5, width=8)(torch.zeros(3, 5, *size)).shape == (3,)


def test_a_shorter_side_leaves_no_cell() -> None:
    with pytest.raises(RuntimeError, match="Kernel size"):
        Discriminator(5, width=8)(torch.zeros(3, 5, SMALLEST_PX - 1, 65))


def test_attention_starts_as_identity_and_equals_its_sums() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8).double()
    x = torch.randn(1, 8, 2, 3, dtype=torch.float64)
    assert torch.equal(attention(x), x)
    attention.gamma.data.fill_(0.5)
    query, key, value = (part(x)[0].flatten(1) for part in (attention.query, attention.key, attention.value))
    for i in range(6):
        powers = [(query[:, i] @ key[:, j]).exp() for j in range(6)]
        mixed = sum(power / sum(powers) * value[:, j] for j, power in enumerate(powers))
        expected = x[0].flatten(1)[:, i] + 0.5 * mixed
        torch.testing.assert_close(attention(x)[0].flatten(1)[:, i], expected, rtol=0, atol=1e-12)


def test_convolutions_are_spectrally_normalised() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, width=8)
    for _ in range(60):
        discriminator(torch.randn(2, 3, 65, 65))
    convolution = discriminator.eval().layers[2][0]
    assert torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)
