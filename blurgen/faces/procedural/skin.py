"""Skin: its colour from place to place, and what light makes of it."""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.noise import bump, clamp01, fractal_noise, hashed, mix, ramp, value_noise


@njit(cache=True, error_model="numpy")
def _speckle(x, y, size, salt):
    """Return 0 to 1 inside scattered round spots, at most one in each cell of side ``size``."""
    cx = math.floor(x / size)
    cy = math.floor(y / size)
    ix = int(cx)
    iy = int(cy)
    radius = 0.1 + 0.22 * hashed(ix, iy, salt)
    dx = x / size - cx - 0.5 - (0.5 - radius) * (2.0 * hashed(ix, iy, salt + 1) - 1.0)
    dy = y / size - cy - 0.5 - (0.5 - radius) * (2.0 * hashed(ix, iy, salt + 2) - 1.0)
    return bump((dx * dx + dy * dy) / (radius * radius)) * hashed(ix, iy, salt + 3)


@njit(cache=True, error_model="numpy")
def bare_skin(p, x, y, z, r, g, b):
    """Return the colour of skin with mottling and pores at a place of the head."""
    across = x * (1.6 - 0.5 * z)  # keeps the grain even where the cheek turns away
    patch = fractal_noise(across * 2.3 + 9.0, y * 2.3, 3, p.salt + 51)
    pore = value_noise(across * 24.0, y * 24.0, p.salt + 52) + 0.8 * value_noise(
        across * 41.0, y * 41.0, p.salt + 53
    )
    tone = 1.0 + p.pores * (0.8 * pore + 0.5 * patch)
    return r * tone, g * (tone - 0.09 * patch), b * (tone - 0.09 * patch)


@njit(cache=True, error_model="numpy")
def facial_skin(p, x, y, r, g, b):
    """Add what only a face has: blush, freckles, moles, lines of age. x, y as seen from the front."""
    side = abs(x)
    cx = side - 0.62
    cy = y - 0.5
    blush = 0.35 * p.blush * bump(cx * cx * 4.0 + cy * cy * 5.0)
    blush += 0.25 * p.blush * bump(x * x * 8.0 + (y - p.nose_y + 0.1) * (y - p.nose_y + 0.1) * 8.0)
    g *= 1.0 - blush
    b *= 1.0 - 0.9 * blush
    if p.freckles > 0.0:
        where = p.freckles * ramp(1.2, 0.4, side) * bump((y - 0.4) * (y - 0.4) * 1.4)
        spot = where * (
            _speckle(x, y, 0.075, p.salt + 61) + 0.6 * _speckle(x + 3.3, y + 1.7, 0.045, p.salt + 65)
        )
        r *= 1.0 - 0.4 * spot
        g *= 1.0 - 0.6 * spot
        b *= 1.0 - 0.7 * spot
    mx = x - p.mole_x
    my = y - p.mole_y
    spot = 0.7 * bump((mx * mx + my * my) * 1400.0)
    age = p.age
    if age > 0.1:
        wave = y + 0.05 * value_noise(x * 2.0, 3.0, p.salt + 71) + 0.06 * x * x
        furrow = wave * 7.0
        cell = furrow - math.floor(furrow) - 0.5
        spot += (
            0.3
            * age
            * bump(cell * cell * 60.0)
            * ramp(-0.42, -0.55, y)
            * ramp(-1.1, -0.9, y)
            * ramp(0.8, 0.5, side)
        )
        foot = (y + 0.02) * 12.0 / (0.4 + side)
        cell = foot - math.floor(foot) - 0.5
        spot += (
            0.35
            * age
            * bump(cell * cell * 50.0)
            * bump((side - 0.88) * (side - 0.88) * 60.0)
            * bump(y * y * 30.0)
        )
    spot = min(spot, 0.8)
    return r * (1.0 - 0.6 * spot), g * (1.0 - 0.75 * spot), b * (1.0 - 0.75 * spot)


@njit(cache=True, error_model="numpy")
def beard(p, x, y, z, r, g, b):
    """Cover chin, cheeks and upper lip with stubble or hair; the label stays skin."""
    side = abs(x)
    edge = y - (0.62 + 0.3 * p.beard_edge) + 0.55 * max(side - 0.55, 0.0) * 1.6
    cheeks = ramp(0.0, 0.16, edge)
    lip = y - p.mouth_y
    around = bump(x * x * 3.0 + (lip - 0.1) * (lip - 0.1) * 6.0) * ramp(-0.2, 0.1, -abs(lip + 0.01 - 0.08))
    cheeks = max(0.0, cheeks - 0.6 * around)
    top = (y - (p.nose_y + 0.12) - 0.1 * x * x - 0.04) / (0.09 + 0.3 * max(side - 0.25, 0.0))
    lip_hair = bump(top * top) * ramp(p.mouth_half + 0.13, p.mouth_half - 0.05, side)
    hairs = value_noise(x * 30.0 + 12.0 * x * y, y * 8.0 + z * 4.0, p.salt + 81)
    hairs += 0.7 * value_noise(x * 52.0, y * 17.0, p.salt + 82)
    dots = value_noise(x * 38.0, y * 38.0 + z * 20.0, p.salt + 83)
    dense = max(p.beard * cheeks, p.moustache * lip_hair)
    thin = p.stubble * max(cheeks, lip_hair)
    shade = max(clamp01(dense * (0.85 + 0.4 * hairs)), thin * clamp01(0.45 + 0.6 * dots))
    shade = min(shade, 0.94)
    light = 0.8 + 0.35 * hairs
    return (
        mix(r, p.hair_colour[0] * light, shade),
        mix(g, p.hair_colour[1] * light, shade),
        mix(b, p.hair_colour[2] * light, shade),
    )


@njit(cache=True, error_model="numpy")
def lit(p, nx, ny, nz, lx, ly, lz, r, g, b, open_sky, shadow, gloss):
    """Return the light that skin-like material of colour (r, g, b) sends to the viewer.

    ``open_sky`` is the share of the surroundings the place sees, ``shadow`` the share of the key light
    that reaches it. Red light travels farther under the skin, so it reaches beyond the edge of shade.
    """
    facing = nx * lx + ny * ly + nz * lz
    through_r = clamp01((facing + 0.32) / 1.32) * mix(0.1, 1.0, shadow)
    through_g = clamp01((facing + 0.16) / 1.16) * mix(0.05, 1.0, shadow)
    through_b = clamp01((facing + 0.12) / 1.12) * mix(0.04, 1.0, shadow)
    sky = p.ambient * open_sky * (0.72 - 0.28 * ny)
    bounce = p.fill * open_sky * clamp01(0.3 * nz - nx * lx + 0.2)
    hx = lx
    hy = ly
    hz = lz + 1.0
    half = (nx * hx + ny * hy + nz * hz) / math.sqrt(hx * hx + hy * hy + hz * hz)
    glint = max(half, 0.0)
    glint *= glint
    glint *= glint
    glint *= glint
    broad = glint
    glint *= glint
    glint *= glint
    shine = gloss * shadow * (0.3 * broad + 0.9 * glint) * p.key
    rim = 1.0 - clamp01(nz)
    shine += 0.02 * rim * rim * open_sky * p.ambient
    return (
        r * (p.key * through_r * p.light[0] + sky * p.sky[0] + bounce) + shine * p.light[0],
        g * (p.key * through_g * p.light[1] + sky * p.sky[1] + bounce) + shine * p.light[1],
        b * (p.key * through_b * p.light[2] + sky * p.sky[2] + bounce) + shine * p.light[2],
    )
