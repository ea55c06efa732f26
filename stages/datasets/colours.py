"""Labels that hold colours where class ids belong: which ids their colours stand for."""

from collections.abc import Mapping, Sequence

import numpy as np

from stages.datasets.layout import ClassRow

NAMED = 8
"""How many colours a message names."""
MOST = 256
"""More colours than this are no palette: the mask was smoothed or saved with loss."""

Palette = Mapping[str, int | None]
"""`#rrggbb` -> class id, or None for a colour that no class has."""


def colours_as_ids(colours_HWC: np.ndarray, classes: Sequence[ClassRow]) -> tuple[str, Palette]:
    """What to do with a label of colours (uint8 H x W x 3), in words, and the palette that is offered for it."""
    packed_HW = colours_HWC.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    found = np.unique(packed_HW)
    if len(found) > MOST:
        return f"it holds {len(found)} colours, too many for classes: export it without smoothing or loss, as ids", {}
    row_of = {(row.rgb[0] << 16) + (row.rgb[1] << 8) + row.rgb[2]: row for row in classes}
    palette = {f"#{colour:06x}": row_of[colour].id if colour in row_of else None for colour in found.tolist()}
    named = [
        f"#{colour:06x} = {row_of[colour].id} {row_of[colour].name}" for colour in found.tolist() if colour in row_of
    ]
    unknown = [colour for colour, id in palette.items() if id is None]
    offered = f"palette: {', '.join(named[:NAMED])}" if named else "none of its colours is a class's"
    more = f", {len(named) - NAMED} more" if len(named) > NAMED else ""
    strangers = f"; no class has {', '.join(unknown[:NAMED])}" if unknown and named else ""
    return f"it holds colours, not class ids; save it as 8-bit PNG of ids ({offered}{more}{strangers})", palette
