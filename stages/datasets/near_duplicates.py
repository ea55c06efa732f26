"""Pictures that look alike, by a difference hash: frames of one video in a split are not independent samples.

dHash (Krawetz 2013): the picture in grey at 17 x 16 pixels, one bit for each pixel that is brighter than its left
neighbour. 256 bits keep CamVid's consecutive frames (at most 35 bits apart) clear of its pictures of other places (76
and more); the usual 64 do not.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from stages.datasets.findings import Finding, Kind, Level
from stages.datasets.index import Sample

SIDE = 16
BITS = SIDE * SIDE
WORDS = BITS // 64
DRAFT_SIZE = (4 * SIDE, 4 * SIDE)
"""Width and height in pixels below which a picture's hash would suffer."""
MOST_BITS = 40
"""Pictures that differ in no more bits are near-duplicates."""
BLOCK = 128
"""Pictures that are compared with all others at a time: the distances of a block stay in cache."""


def image_bits(image: Image.Image) -> np.ndarray:
    """The hash of an opened picture as uint64[4]; decodes all of it and raises what Pillow raises."""
    grey = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    pixels_HW = np.asarray(grey)
    return np.packbits(pixels_HW[:, 1:] > pixels_HW[:, :-1]).view(np.uint64)


def near_duplicates(samples: Mapping[str, Sequence[Sample]], bits: Sequence[np.ndarray]) -> Iterator[Finding]:
    """Each picture's nearest in its own split and in another one, where it is near; `bits` in the samples' order.

    Pictures that are byte for byte the same in two splits are named as duplicates elsewhere, not here.
    """
    flat = [(split, sample) for split, members in samples.items() for sample in members]
    if len(flat) < 2:
        return
    split_N = np.unique([split for split, _ in flat], return_inverse=True)[1]
    content_N = np.unique([sample.image_sha256 for _, sample in flat], return_inverse=True)[1]
    for n, other, distance in nearest_pairs(np.stack(bits), split_N, content_N):
        (split, sample), (other_split, near) = flat[n], flat[other]
        where = "the same split" if split == other_split else f"split {other_split}"
        text = f"looks like {near.image} in {where} ({distance} of {BITS} bits differ): no independent sample"
        facts = {"split": split, "near": near.image, "near_split": other_split, "bits": distance}
        yield Finding(Kind.NEAR_DUPLICATE, sample.image, text, Level.WARNING, facts)


def nearest_pairs(bits_NW: np.ndarray, split_N: np.ndarray, content_N: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(picture, its nearest other, bits between) for its own split and for all others, if at most `MOST_BITS`."""
    for start in range(0, len(bits_NW), BLOCK):
        block = slice(start, start + BLOCK)
        distance_BN = distances(bits_NW[block], bits_NW)
        own_BN = split_N[block, None] == split_N
        rows = np.arange(len(distance_BN))
        distance_BN[rows, start + rows] = BITS + 1
        distance_BN[~own_BN & (content_N[block, None] == content_N)] = BITS + 1
        nearest_2B = [np.where(part, distance_BN, BITS + 1).argmin(axis=1) for part in (own_BN, ~own_BN)]
        for row in rows:
            for nearest_B, is_own in zip(nearest_2B, (True, False), strict=True):
                other = int(nearest_B[row])
                if own_BN[row, other] == is_own and distance_BN[row, other] <= MOST_BITS:
                    yield start + int(row), other, int(distance_BN[row, other])


def distances(one_BW: np.ndarray, other_NW: np.ndarray) -> np.ndarray:
    """Bits that differ, uint16 B x N."""
    total_BN = np.zeros((len(one_BW), len(other_NW)), dtype=np.uint16)
    for word in range(WORDS):
        total_BN += np.bitwise_count(one_BW[:, word, None] ^ other_NW[:, word])
    return total_BN
