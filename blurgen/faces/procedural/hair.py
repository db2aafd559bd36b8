"""Hair: a shell over the skull, curtains beside the face, a mass behind the neck, all made of strands."""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.head import ellipsoid_hit
from blurgen.faces.procedural.noise import bump, clamp01, cover, fractal_noise, mix, ramp, value_noise

_SHELL_Y = -0.45
_SHELL_Z = -0.3
FAR = 1e9


@njit(cache=True, error_model="numpy")
def _spread(y):
    """Return how far strands have spread at height y, 1 from the temples down."""
    return math.sqrt(min(max((y + 1.95) / 1.7, 0.06), 1.0))


@njit(cache=True, error_model="numpy")
def strand_place(p, x, y, z):
    """Return (across, along): which strand passes a place, and how far down.

    Strands start at the parting on top, spread, and fall straight from the temples on.
    """
    if p.combed > 0.0:
        bend = (p.wave + 0.08) * fractal_noise(x * 1.3 + 3.0, y * 1.3 + z, 2, p.salt + 91)
        low = max(y + 0.7, 0.0)  # below the temples it lies down
        across = x * p.comb_cos + (y + 0.4 * z + 0.25 * x * x) * p.comb_sin * (1.0 - 0.5 * min(low, 1.0))
        return across + bend - 0.5 * z * low * x, y * p.comb_cos - x * p.comb_sin
    part = 0.5 * p.part
    side = 1.0 if x > part else -1.0
    spread = _spread(y)
    bend = p.wave * fractal_noise(x * 1.1 + 3.0, y * 1.4 + 0.4 * z, 2, p.salt + 91)
    across = (x - part) / spread - side * 0.6 * z + bend * (0.6 + 0.5 * clamp01(y + 1.2))
    return across, y - 0.5 * z


@njit(cache=True, error_model="numpy")
def strands(p, x, y, z, pixel):
    """Return (clump, fine): the light and dark of tufts and of single strands, each about [-1, 1]."""
    if p.curl > 0.0:
        a = fractal_noise(x * 4.0 + 0.5 * z, y * 4.0, 2, p.salt + 92)
        ring = fractal_noise(x * 7.0 + 2.0 * a, y * 7.0 + 2.0 * a + z, 3, p.salt + 93)
        return 1.5 * a, (1.3 - 4.5 * abs(ring)) * p.curl
    across, along = strand_place(p, x, y, z)
    f = p.strand
    clump = value_noise(across * 0.3 * f, along * 0.9, p.salt + 94)
    fine = 0.6 * value_noise(across * 0.9 * f + 0.8 * clump, along * 1.6, p.salt + 95)
    # single strands fade where they are thinner than a pixel
    fine += (
        0.55
        * clamp01(1.8 - 1.9 * f * pixel / _spread(y))
        * value_noise(across * 1.9 * f, along * 2.6, p.salt + 96)
    )
    return clump, fine


@njit(cache=True, error_model="numpy")
def _hair_here(p, x, y, z, across, along):
    """Return how much of the shell is hair here: not over the face, not below the cut."""
    jag = value_noise(across * 0.45 * p.strand, along * 0.8, p.salt + 97)
    if p.fringe >= 0.2:
        jag += 0.6 * value_noise(across * 1.1 * p.strand, along, p.salt + 98)
    if p.curl > 0.0:
        jag = 1.5 * fractal_noise(x * 5.0, y * 5.0, 3, p.salt + 99)
    corner = abs(x) - 0.55
    line = p.hairline + p.fringe * ramp(1.1, 0.2, abs(x - 0.35 * p.part)) + p.sweep * x
    line -= p.recede * bump(corner * corner * 9.0)
    middle = 0.4
    low = max(y, 0.0)
    cx = x / (p.temple + 0.45 * low * low)
    cy = min(y - middle, 0.0) / (middle - line)
    cx *= cx
    cy *= cy
    round_edge = math.sqrt(math.sqrt(cx * cx + cy * cy)) - 1.0
    edge = round_edge
    if p.fringe > 0.2:
        edge = max(edge, line - y)
    edge += jag * (0.03 + 0.5 * p.fringe_jag * p.fringe)
    alpha = 1.0
    if z > -0.35:
        alpha = ramp(-0.06, 0.05, edge) if p.fringe < 0.2 else ramp(-0.035, 0.035, edge)
    if p.length <= 0.0:
        cut = mix(0.8, 0.05 + 0.4 * p.sideburn, ramp(-0.75, -0.2, z))
        alpha *= ramp(cut + 0.16, cut - 0.16, y + 0.08 * jag)
    if p.bald > 0.5:
        alpha *= 0.75 * ramp(-0.6, -0.2, y + 0.1 * jag) * ramp(0.35, 0.0, z)
    return alpha


@njit(cache=True, error_model="numpy")
def shell_hit(p, ox, oy, oz, dx, dy, dz, pixel):
    """Return (path, alpha) of the hair over the skull."""
    rx = p.skull_x + p.hair_side
    ry = p.skull_y + p.hair_top
    rz = 1.42 + p.hair_front
    path, near = ellipsoid_hit(ox - p.lean, oy - _SHELL_Y, oz - _SHELL_Z, dx, dy, dz, rx, ry, rz)
    if near > 1.0 + p.rough:
        return FAR, 0.0
    x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
    across, along = strand_place(p, x, y, z)
    tuft = 0.6 * fractal_noise(x * 2.2, y * 2.2, 3, p.salt + 90)
    tuft += 0.5 * value_noise(across * 0.25 * p.strand, along * 0.8, p.salt + 86)
    outline = cover((near - 1.0 - p.rough * max(tuft, -0.15)) * 1.35, 2.2 * pixel)
    if outline <= 0.0:
        return FAR, 0.0
    return path, outline * _hair_here(p, x, y, z, across, along)


@njit(cache=True, error_model="numpy")
def shell_normal(p, x, y, z):
    """Return the unit normal of the hair over the skull."""
    rx = p.skull_x + p.hair_side
    ry = p.skull_y + p.hair_top
    rz = 1.42 + p.hair_front
    return _unit((x - p.lean) / (rx * rx), (y - _SHELL_Y) / (ry * ry), (z - _SHELL_Z) / (rz * rz))


@njit(cache=True, error_model="numpy")
def curtain_hit(p, ox, oy, oz, dx, dy, dz, pixel):
    """Return (path, alpha) of the nearer of the two masses of long hair beside the face."""
    best_path = FAR
    alpha = 0.0
    if p.length <= 0.0:
        return best_path, alpha
    tall = 0.85 + 0.55 * p.length
    for side in (-1.0, 1.0):
        wave = p.wave * 0.9 * value_noise((oy + 0.3) * 1.3, side * 7.3, p.salt + 89)
        path, near = ellipsoid_hit(
            ox - side * p.curtain_x + wave,
            oy - 0.5 * p.length + 0.35,
            oz + 0.2,
            dx,
            dy,
            dz,
            p.curtain,
            tall,
            0.55,
        )
        if near > 1.05:
            continue
        across, along = strand_place(p, ox + path * dx, oy + path * dy, oz + path * dz)
        tuft = 0.12 * value_noise(across * 0.5 * p.strand, along * 0.7, p.salt + 88)
        a = cover((near - 0.93 - tuft) * p.curtain, 2.0 * pixel)
        if a > 0.0 and (alpha < 0.5 or (a > 0.5 and path < best_path)):
            best_path = path
        alpha = 1.0 - (1.0 - alpha) * (1.0 - a)
    return best_path, alpha


@njit(cache=True, error_model="numpy")
def curtain_normal(p, x, y, z):
    """Return the unit normal of the hair beside the face."""
    side = 1.0 if x > 0.0 else -1.0
    return _unit((x - side * p.curtain_x) / (p.curtain * p.curtain), 0.0, (z + 0.2) / 0.3)


@njit(cache=True, error_model="numpy")
def _unit(x, y, z):
    length = math.sqrt(x * x + y * y + z * z) + 1e-12
    return x / length, y / length, z / length


@njit(cache=True, error_model="numpy")
def back_hair(p, ox, oy, oz, dx, dy, dz, pixel):
    """Return (path, alpha) of the hair behind the neck."""
    if p.length <= 0.0:
        return FAR, 0.0
    wide = 1.12 + 0.6 * p.hair_side + 0.25 * p.curtain
    path, near = ellipsoid_hit(
        ox, oy - 0.4 * p.length, oz + 0.85, dx, dy, dz, wide, 0.9 + 0.62 * p.length, 0.5
    )
    if near > 1.1:
        return FAR, 0.0
    x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
    across, along = strand_place(p, x, y, z)
    tuft = 0.06 * value_noise(across * 0.5 * p.strand, along * 0.7, p.salt + 87)
    return path, cover((near - 0.96 - tuft) * wide, 2.0 * pixel)


@njit(cache=True, error_model="numpy")
def hair_colour(p, x, y, z, nx, ny, nz, pixel, lx, ly, lz, open_sky, shadow):
    """Return the linear colour of lit hair at a place with the normal of its mass."""
    clump, fine = strands(p, x, y, z, pixel)
    facing = nx * lx + ny * ly + nz * lz + 0.3 * clump * p.strand_depth
    through = clamp01((facing + 0.35) / 1.35) * mix(0.12, 1.0, shadow)
    sky = p.ambient * open_sky * (0.75 - 0.3 * ny)
    dark = 1.0 + p.strand_depth * (0.75 * fine + 0.4 * clump)
    dark = max(dark, 0.12)
    light = dark * (1.15 * p.key * through + sky)
    t = clamp01(0.35 + 0.35 * clump + 0.45 * fine)
    half = (ny * (ly - 0.15) + nz * (lz + 1.0) + nx * lx) * 0.55 - 0.72
    band = bump(half * half * 9.0 + 0.15 * clump) * (0.35 + 0.65 * clamp01(0.5 + 0.8 * fine))
    shine = 0.16 * p.hair_shine * band * shadow * p.key
    if p.curl > 0.0:
        shine *= 0.25
    return (
        mix(p.hair_colour[0], p.hair_tip[0], t) * light * p.light[0] + shine * (0.35 + p.hair_tip[0]),
        mix(p.hair_colour[1], p.hair_tip[1], t) * light * p.light[1] + shine * (0.32 + p.hair_tip[1]),
        mix(p.hair_colour[2], p.hair_tip[2], t) * light * p.light[2] + shine * (0.30 + p.hair_tip[2]),
    )
