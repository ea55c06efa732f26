import torch

from stages.nets.catalogue import NORMALISATIONS
from stages.nets.normalise import Normalise


def test_values_by_hand() -> None:
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    normalised = Normalise((0.5, 0.2, 0.25), (0.5, 0.1, 0.25))(images)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised.flatten(), torch.tensor([-1.0, 0.0, 3.0]), atol=1e-6, rtol=0)


def test_symmetric_is_x_over_127_5_minus_1() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 256, 1, 1).expand(1, 256, 1, 3)
    normalised = Normalise(*NORMALISATIONS["symmetric"])(levels)
    torch.testing.assert_close(normalised[0, 0, :, 0], torch.arange(256) / 127.5 - 1, atol=1e-6, rtol=0)


def test_layout_is_channels_last_without_a_copy_of_the_pixels() -> None:
    images = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)
    normalised = Normalise(*NORMALISATIONS["imagenet"])(images)
    assert normalised.shape == (2, 3, 5, 7)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    mean, std = (torch.tensor(v) for v in NORMALISATIONS["imagenet"])
    expected = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(normalised, expected, atol=1e-5, rtol=0)


def test_it_is_in_no_state_dict() -> None:
    assert not Normalise(*NORMALISATIONS["imagenet"]).state_dict()
