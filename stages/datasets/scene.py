"""One procedural road scene with its labels.

Two pairs of classes carry what distillation of class distances and of position is about. `middle_lane` and
`side_lane` share one asphalt and differ by their distance from the road's axis alone, so that a mirrored
image stays right; `grass` and `hedge` share mean colour and contrast and differ by the grain of their
texture alone.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SKY, BUILDING, MIDDLE_LANE, SIDE_LANE, GRASS, HEDGE, CAR, POLE, EGO = range(9)

SKIES = ((0.45, 0.65, 0.92), (0.62, 0.70, 0.80), (0.88, 0.68, 0.52), (0.35, 0.52, 0.85))
WALLS = ((0.62, 0.36, 0.28), (0.74, 0.66, 0.52), (0.55, 0.56, 0.60), (0.80, 0.76, 0.70), (0.44, 0.34, 0.36))
PAINTS = ((0.75, 0.10, 0.10), (0.12, 0.22, 0.62), (0.88, 0.88, 0.90), (0.10, 0.10, 0.12), (0.85, 0.65, 0.10))
SIGNS = ((0.80, 0.12, 0.14), (0.14, 0.30, 0.75), (0.92, 0.78, 0.12))
LANE_EDGE = 0.5
"""Where the lanes part, as a share of the road's half width."""
GRAIN_CONTRAST = 0.7
"""Standard deviation of the greens' grain, as a share of their mean: at half of it, a small network that learns all
classes at once leaves grass and hedge at chance for hundreds of steps."""
FARTHEST_T = 1e-3
"""Depth beyond which there is no ground."""


@dataclass(frozen=True)
class Road:
    """Perspective on a grid of H x W pixels; depth t runs from 0 at the horizon to 1 at the lower border."""

    horizon: float
    """Row of the horizon."""
    axis_H: np.ndarray
    """Column of the road's axis, per row."""
    half_H: np.ndarray
    """Half of the road's width in pixels, per row."""
    t_H: np.ndarray
    """0 at and above the horizon, 1 at the lower border, per row."""

    def row(self, t: float) -> int:
        """Row of a depth."""
        return min(len(self.t_H) - 1, int(self.horizon + t * (len(self.t_H) - self.horizon)))


@dataclass(frozen=True)
class Canvas:
    """What has been painted so far."""

    image_HWC: np.ndarray
    """float32, 0..1, RGB."""
    ids_HW: np.ndarray
    """uint8."""

    def paint(self, mask_HW: np.ndarray, colour: np.ndarray | tuple[float, ...], id: int | None = None) -> None:
        """Fill a mask with one colour or with H x W x 3 colours, and label it unless `id` is None."""
        colours = colour[mask_HW] if isinstance(colour, np.ndarray) and colour.ndim == 3 else colour
        self.image_HWC[mask_HW] = colours
        if id is not None:
            self.ids_HW[mask_HW] = id

    def rectangle(
        self,
        rows: tuple[float, float],
        columns: tuple[float, float],
        colour: tuple[float, ...] | np.ndarray,
        id: int | None = None,
    ) -> None:
        """Fill a rectangle, cut at the borders; at least one pixel in each direction."""
        spans = []
        for (low, high), size in zip((rows, columns), self.ids_HW.shape, strict=True):
            first = max(0, round(low))
            spans.append(slice(first, max(first, min(size, max(round(high), round(low) + 1)))))
        self.image_HWC[spans[0], spans[1]] = colour
        if id is not None:
            self.ids_HW[spans[0], spans[1]] = id


def render(size_px: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A scene of height x width pixels: image uint8 H x W x 3 RGB, ids uint8 H x W in 0..8 (8 = EGO)."""
    height, width = size_px
    canvas = Canvas(np.zeros((height, width, 3), np.float32), np.full(size_px, SKY, np.uint8))
    road = lay_road(size_px, rng)
    haze = paint_sky(canvas, rng)
    paint_buildings(canvas, road, rng)
    paint_ground(canvas, road, haze, rng)
    objects = [(t, paint_pole) for t in rng.uniform(0.08, 0.55, rng.integers(2, 6))]
    objects += [(t, paint_car) for t in rng.uniform(0.10, 0.75, rng.integers(1, 5))]
    for t, painter in sorted(objects, key=lambda item: item[0]):
        painter(canvas, road, t, rng)
    if rng.random() < 0.3:
        paint_ego(canvas, rng)
    return expose(canvas.image_HWC, rng), canvas.ids_HW


def lay_road(size_px: tuple[int, int], rng: np.random.Generator) -> Road:
    """Jittered horizon, vanishing point, bend and width."""
    height, width = size_px
    horizon = height * rng.uniform(0.34, 0.46)
    t_H = np.clip((np.arange(height) + 0.5 - horizon) / (height - horizon), 0, 1).astype(np.float32)
    vanishing, foot = width * rng.uniform(0.36, 0.64), width * rng.uniform(-0.14, 0.14)
    bend = width * rng.uniform(-0.25, 0.25)
    axis_H = vanishing + foot * t_H + bend * t_H * (1 - t_H)
    return Road(horizon, axis_H, width * rng.uniform(0.34, 0.46) * t_H + 0.5, t_H)


def grain(size_px: tuple[int, int], cell_px: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1 whose blobs are `cell_px` wide: float32 H x W."""
    height, width = size_px
    cells = (max(2, round(height / cell_px)), max(2, round(width / cell_px)))
    noise = rng.standard_normal(cells, dtype=np.float32)
    if cells != size_px:
        noise = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    normal_HW: np.ndarray = (noise - noise.mean()) / noise.std()
    return normal_HW


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Gradient with clouds over the whole canvas; returns the colour at the horizon."""
    size_px = canvas.ids_HW.shape
    zenith = np.array(SKIES[rng.integers(len(SKIES))], np.float32)
    haze = 0.45 * zenith + 0.5
    down_H11 = np.linspace(0, 1, size_px[0], dtype=np.float32)[:, None, None] ** 0.7
    clouds_HW1 = np.clip(grain(size_px, size_px[0] / 5, rng) - rng.uniform(0, 1), 0, 1)[..., None] * 0.6
    canvas.image_HWC[:] = zenith + (haze - zenith) * down_H11
    canvas.image_HWC[:] += (0.95 - canvas.image_HWC) * clouds_HW1
    return haze


def paint_buildings(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    """Houses along the horizon, taller towards the sides, with windows."""
    height, width = canvas.ids_HW.shape
    vanishing = road.axis_H[int(road.horizon)]
    for left in np.sort(rng.uniform(-0.08, 0.98, rng.integers(6, 13))) * width:
        wide = width * rng.uniform(0.06, 0.15)
        away = abs(left + wide / 2 - vanishing) / width
        if away < 0.07:
            continue
        tall = height * (0.05 + 0.5 * away) * rng.uniform(0.6, 1.3)
        wall = np.array(WALLS[rng.integers(len(WALLS))], np.float32) * rng.uniform(0.8, 1.15)
        top, base = road.horizon - tall, road.horizon + height * 0.12
        canvas.rectangle((top, base), (left, left + wide), wall, BUILDING)
        canvas.rectangle((top, top + 1), (left, left + wide), wall * 0.6, BUILDING)
        storey = max(4.0, height / 20)
        glass = np.array((0.20, 0.24, 0.30) if rng.random() < 0.7 else (0.95, 0.85, 0.55), np.float32)
        for row in np.arange(top + storey * 0.6, base, storey):
            for column in np.arange(left + storey * 0.4, left + wide - storey * 0.5, storey):
                pane = ((row, row + storey * 0.5), (column, column + storey * 0.45))
                if column >= 0 and row >= 0:
                    canvas.rectangle(*pane, glass * rng.uniform(0.8, 1.2), BUILDING)


def paint_ground(canvas: Canvas, road: Road, haze: np.ndarray, rng: np.random.Generator) -> None:
    """The three-lane road and, beside it, patches of grass and hedge."""
    size_px = canvas.ids_HW.shape
    t_H1 = np.maximum(road.t_H[:, None], FARTHEST_T)
    across_HW = (np.arange(size_px[1], dtype=np.float32) + 0.5 - road.axis_H[:, None]) / road.half_H[:, None]
    ground_HW = np.broadcast_to(t_H1 > FARTHEST_T, size_px)
    on_road_HW = np.abs(across_HW) < 1
    hedge_HW = patches(across_HW, t_H1, rng)
    colours_HWC = np.where(on_road_HW[..., None], asphalt(across_HW, t_H1, rng), greens(hedge_HW, rng))
    far_H11 = (0.55 * (1 - t_H1) ** 5)[..., None]
    canvas.paint(ground_HW, colours_HWC + (haze - colours_HWC) * far_H11)
    beside_HW = np.where(hedge_HW, HEDGE, GRASS)
    lanes_HW = np.where(np.abs(across_HW) < LANE_EDGE, MIDDLE_LANE, SIDE_LANE)
    canvas.ids_HW[ground_HW] = np.where(on_road_HW, lanes_HW, beside_HW)[ground_HW]


def asphalt(across_HW: np.ndarray, t_H1: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey with noise and dashed lines between the lanes: float32 H x W x 3, alike on every lane."""
    grey = rng.uniform(0.30, 0.46)
    shade_HW = grey + 0.025 * grain(across_HW.shape, 1, rng) + 0.02 * grain(across_HW.shape, 12, rng)
    line_HW = np.abs(np.abs(across_HW) - LANE_EDGE) < 0.022
    dash_H1 = (rng.random() + 1.6 / (t_H1 + 0.12)) % 1 < 0.55
    tint = np.array((1, 1, rng.uniform(0.98, 1.08)), np.float32)
    return np.where((line_HW & dash_H1)[..., None], 0.85, shade_HW[..., None] * tint).astype(np.float32)


def patches(across_HW: np.ndarray, t_H1: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where hedge grows instead of grass, in bands of depth and strips to the left and right: bool H x W."""
    band_H1 = (rng.random() + 1.3 * np.log(1 / t_H1)).astype(np.intp) % 8
    strip_HW = 2 * (across_HW > 0) + (np.abs(across_HW) > rng.uniform(1.5, 2.2))
    hedge_HW: np.ndarray = (rng.random((8, 4)) < 0.5)[band_H1, strip_HW]
    return hedge_HW


def greens(hedge_HW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One green in a fine grain, and in a coarse one where hedge grows: float32 H x W x 3."""
    size_px = hedge_HW.shape
    grain_HW = np.where(hedge_HW, grain(size_px, max(4.0, size_px[0] / 14), rng), grain(size_px, 1, rng))
    green = np.array((0.30, 0.46, 0.20), np.float32) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    return green * (1 + GRAIN_CONTRAST * grain_HW[..., None])


def paint_car(canvas: Canvas, road: Road, t: float, rng: np.random.Generator) -> None:
    """A car seen from behind, standing on the road at depth t."""
    bottom = road.row(t)
    half = road.half_H[bottom] * 0.22
    x = road.axis_H[bottom] + rng.uniform(-0.85, 0.85) * road.half_H[bottom]
    tall = half * rng.uniform(1.3, 1.7)
    paint = np.array(PAINTS[rng.integers(len(PAINTS))], np.float32)
    waist, roof = bottom - tall * 0.60, bottom - tall
    canvas.rectangle((bottom - tall * 0.08, bottom + tall * 0.06), (x - half * 1.1, x + half * 1.1), (0.08,) * 3)
    canvas.rectangle((roof, waist), (x - half * 0.75, x + half * 0.75), paint * 0.85, CAR)
    canvas.rectangle((waist, bottom - tall * 0.12), (x - half, x + half), paint, CAR)
    canvas.rectangle((roof + tall * 0.07, waist), (x - half * 0.62, x + half * 0.62), (0.16, 0.20, 0.26), CAR)
    for side in (-1, 1):
        wheel, light = x + side * half * 0.78, x + side * half * 0.82
        canvas.rectangle((bottom - tall * 0.2, bottom), (wheel - half * 0.18, wheel + half * 0.18), (0.05,) * 3, CAR)
        lamp = (waist + tall * 0.1, waist + tall * 0.2)
        canvas.rectangle(lamp, (light - half * 0.13, light + half * 0.13), (0.85, 0.15, 0.10), CAR)


def paint_pole(canvas: Canvas, road: Road, t: float, rng: np.random.Generator) -> None:
    """A pole beside the road at depth t, most of them with a round sign."""
    height, width = canvas.ids_HW.shape
    bottom = road.row(t)
    x = road.axis_H[bottom] + rng.choice((-1, 1)) * rng.uniform(1.12, 1.4) * road.half_H[bottom]
    top = bottom - height * (0.12 + 0.75 * t)
    half = 0.8 + width * 0.01 * t
    canvas.rectangle((top, bottom), (x - half, x + half), (rng.uniform(0.35, 0.6),) * 3, POLE)
    if rng.random() < 0.7:
        radius = 2.5 + height * 0.08 * t
        rows_H1, columns_1W = np.ogrid[:height, :width]
        square_HW = (rows_H1 + 0.5 - top) ** 2 + (columns_1W + 0.5 - x) ** 2
        canvas.paint(square_HW < radius**2, SIGNS[rng.integers(len(SIGNS))], POLE)
        canvas.paint(square_HW < (0.55 * radius) ** 2, (0.93, 0.93, 0.93), POLE)


def paint_ego(canvas: Canvas, rng: np.random.Generator) -> None:
    """The bonnet of the car that carries the camera."""
    height, width = canvas.ids_HW.shape
    rows_H1, columns_1W = np.ogrid[:height, :width]
    arch_1W = ((columns_1W - width / 2) / (width * rng.uniform(0.4, 0.55))) ** 2
    inside_HW = rows_H1 > height * (1 - rng.uniform(0.06, 0.11) * (1 - arch_1W))
    canvas.paint(inside_HW, (0.13, 0.14, 0.17), EGO)


def expose(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, tint, slow shadows and sensor noise: uint8 H x W x 3."""
    size_px = image_HWC.shape[:2]
    light = rng.uniform(0.65, 1.15) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    shadows_HW1 = 1 + 0.06 * grain(size_px, size_px[0] / 3, rng)[..., None]
    noise_HWC = rng.uniform(0.006, 0.02) * rng.standard_normal(image_HWC.shape, dtype=np.float32)
    exposed_HWC: np.ndarray = np.clip(image_HWC * light * shadows_HW1 + noise_HWC, 0, 1)
    return (exposed_HWC * 255).round().astype(np.uint8)
