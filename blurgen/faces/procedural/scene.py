"""What is not head: the scene behind it, clothes, glasses. All of it is background in the label map."""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.noise import bump, clamp01, cover, fractal_noise, hashed, mix, ramp, value_noise


@njit(cache=True, error_model="numpy")
def _discs(x, y, soft, salt):
    """Return the light of out-of-focus lamps: overlapping discs of even brightness with a crisp rim."""
    cx = math.floor(x)
    cy = math.floor(y)
    light = 0.0
    for j in range(-1, 2):
        for i in range(-1, 2):
            ix = int(cx) + i
            iy = int(cy) + j
            dx = x - cx - i - hashed(ix, iy, salt)
            dy = y - cy - j - hashed(ix, iy, salt + 1)
            radius = 0.15 + 0.4 * hashed(ix, iy, salt + 2)
            d = math.sqrt(dx * dx + dy * dy)
            power = hashed(ix, iy, salt + 3)
            light += power * power * cover(d - radius, soft) * (0.75 + 0.25 * d / radius)
    return light


@njit(cache=True, error_model="numpy")
def _wall(x, y, shift, soft, salt):
    """Return (shade, mortar) of a wall of bricks; every other row is shifted."""
    row = math.floor(y)
    x = 0.45 * x + (shift if int(row) % 2 else 0.0)
    column = math.floor(x)
    gap = min((0.5 - abs(x - column - 0.5)) / 0.45, 0.5 - abs(y - row - 0.5))
    return hashed(int(column), int(row), salt), cover(gap - 0.055, soft)


@njit(cache=True, error_model="numpy")
def _panels(x, y, soft, salt):
    """Return (shade, edge) of a shelf: rows of upright panels of random width."""
    row = math.floor(y)
    x += 13.7 * hashed(int(row), 5, salt)
    cell = math.floor(x)
    split = 0.25 + 0.5 * hashed(int(cell), int(row), salt + 1)
    at = x - cell
    low = cover(split - at, soft)
    a = hashed(int(cell), int(row), salt + 2)
    c = hashed(int(cell), int(row), salt + 3)
    shelf = cover(abs(y - row - 0.04) - 0.05, soft)
    height = 0.12 + 0.35 * mix(a, c, low)
    shelf = max(shelf, cover(y - row - height, soft))
    edge = min(at, 1.0 - at, abs(at - split))
    return mix(a, c, low), max(shelf, 0.7 * cover(edge - 0.02, soft))


@njit(cache=True, error_model="numpy")
def background(p, u, v, pixel):
    """Return the linear colour of the scene at (u, v), the picture being the unit square."""
    kind = int(p.scene)
    salt = p.salt + 201
    x = (u + p.scene_x) * 6.0 * p.scene_scale
    y = (v + p.scene_y) * 6.0 * p.scene_scale
    blur = 0.004 + 0.06 * p.scene_sharp
    soft = (pixel + blur) * 6.0 * p.scene_scale
    octaves = 6 if blur < 0.012 else 4 if blur < 0.03 else 2
    grain = fractal_noise(0.6 * x, 0.6 * y, octaves, salt)
    t = clamp01(0.5 + 0.9 * fractal_noise(0.25 * x + 40.0, 0.25 * y, 2, salt + 1))
    extra = 0.0
    if kind == 0:
        t = clamp01(v + 0.4 * (t - 0.5))
    elif kind == 1:
        extra = 0.8 * _discs(0.7 * x, 0.7 * y, 0.7 * soft, salt + 2) + 0.5 * _discs(
            1.7 * x, 1.7 * y, 1.7 * soft, salt + 7
        )
        t *= 0.4
    elif kind == 2:
        shade, mortar = _wall(1.4 * x, 1.4 * y, 0.5, 1.4 * soft, salt + 3)
        t = 0.15 + 0.5 * shade
        extra = 0.8 * mortar
    elif kind == 3:
        warp = fractal_noise(0.7 * x, 0.7 * y, 3, salt + 4)
        leaf = fractal_noise(1.9 * x + 0.5 * warp, 1.9 * y + 0.5 * warp, octaves, salt + 5)
        t = ramp(-0.25, 0.35, leaf)
        extra = ramp(0.3, 0.5, leaf + 0.5 * warp)
    elif kind == 4:
        shade, edge = _panels(1.3 * x, 0.5 * y, soft, salt + 6)
        t = 3.0 * shade - math.floor(3.0 * shade)
        extra = ramp(0.7, 0.75, shade)
        grain -= 0.9 * edge
    elif kind == 5:
        shade, frame = _wall(1.7 * x, 0.5 * y, 0.0, soft, salt + 8)
        _, bars = _wall(5.1 * x, 1.0 * y, 0.0, 3.0 * soft, salt + 9)
        t = 0.75 * frame
        extra = (1.0 - frame) * ramp(0.45, 0.55, shade) * (1.0 - bars)
        grain -= (1.0 - frame) * 0.6 * bars
    else:
        slope = x + 0.35 * y + 0.6 * fractal_noise(0.4 * x, 0.4 * y, 2, salt + 10)
        cell = 2.2 * slope
        cell -= math.floor(cell)
        t = ramp(0.0, 0.25 + soft, cell) * ramp(1.0, 0.7 - soft, cell)
        extra = 0.5 * bump((cell - 0.5) * (cell - 0.5) * 30.0)
    tone = max(1.0 + 1.6 * p.scene_detail * grain, 0.05)
    extra = min(extra, 1.6)
    return (
        mix(mix(p.scene_a[0], p.scene_b[0], t), p.scene_c[0], extra) * tone,
        mix(mix(p.scene_a[1], p.scene_b[1], t), p.scene_c[1], extra) * tone,
        mix(mix(p.scene_a[2], p.scene_b[2], t), p.scene_c[2], extra) * tone,
    )


@njit(cache=True, error_model="numpy")
def clothes(p, x, y, pixel):
    """Return (alpha, r, g, b) of what is worn, x and y in distances between the pupils from the eyes."""
    x += 0.12 * p.turn
    side = abs(x)
    hollow = max(0.0, 1.0 - side * side / 0.85)
    sharp_v = max(0.0, 1.0 - side / 0.92)
    top = 1.98 + 0.24 * side + 0.05 * side * side
    top += p.neckline * (0.42 * hollow if p.cloth_kind < 2.0 else 0.75 * sharp_v)
    alpha = cover(top - y, pixel)
    if alpha <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    s = p.cloth_scale
    fold = fractal_noise(x * 1.6, y * 0.9 + 5.0, 4, p.salt + 301)
    weave = value_noise(x * 26.0, y * 26.0, p.salt + 302)
    t = 0.0
    if p.cloth_kind == 1.0:
        cell = s * (y + 0.15 * fold)
        t = ramp(0.45, 0.5, cell - math.floor(cell))
    elif p.cloth_kind == 2.0:
        a = s * (x + 0.08 * fold)
        c = s * (y + 0.08 * fold)
        t = 0.5 * ramp(0.5, 0.55, a - math.floor(a)) + 0.5 * ramp(0.5, 0.55, c - math.floor(c))
    elif p.cloth_kind == 3.0:
        t = ramp(0.0, 0.1, fractal_noise(x * s * 0.5, y * s * 0.5, 3, p.salt + 303))
    seam = bump((y - top - 0.07) * (y - top - 0.07) * 3000.0)
    shade = (
        (0.62 + 0.45 * fold + 0.1 * weave - 0.22 * seam - 0.2 * p.key_x * x * 0.6)
        * (p.key + p.ambient)
        * 0.75
    )
    shade = max(shade, 0.06)
    return (
        alpha,
        mix(p.cloth[0], p.cloth_second[0], t) * shade,
        mix(p.cloth[1], p.cloth_second[1], t) * shade,
        mix(p.cloth[2], p.cloth_second[2], t) * shade,
    )


@njit(cache=True, error_model="numpy")
def glasses_frame(p, x, y, pixel):
    """Return (frame, glare) of glasses at a place of the plane they lie in."""
    side = abs(x)
    dx = (side - 0.52) / p.glasses_half
    dy = (y - 0.05) / p.glasses_high
    flat = dx * dx * dx * dx + dy * dy * dy * dy
    rounded = dx * dx + dy * dy
    ring = math.sqrt(mix(math.sqrt(flat), rounded, p.glasses_round))
    d = abs(ring - 1.0) * min(p.glasses_half, p.glasses_high) - p.glasses_thick * (1.3 if dy < 0.0 else 0.9)
    bridge = max(abs(y + 0.03 + 0.25 * x * x) - p.glasses_thick, side - 0.2)
    arm = max(abs(y + 0.06) - p.glasses_thick, 0.52 + 0.97 * p.glasses_half - side)
    frame = cover(min(d, bridge, arm), pixel)
    streak = x * 0.8 + y + 0.2
    glare = 0.1 * ramp(0.1, 0.02, abs(streak - math.floor(streak + 0.5))) if ring < 1.0 else 0.0
    return frame, glare + (0.02 if ring < 1.0 else 0.0)
