"""One face as pixels and labels: a pass for shape, then a pass for light and colour."""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.features import brow, eye, mouth, nose
from blurgen.faces.procedural.hair import (
    FAR,
    back_hair,
    curtain_hit,
    curtain_normal,
    hair_colour,
    shell_hit,
    shell_normal,
)
from blurgen.faces.procedural.head import CLOSE, ellipsoid_hit, head_normal, to_head, trace_head
from blurgen.faces.procedural.noise import bump, clamp01, cover, mix, ramp
from blurgen.faces.procedural.scene import background, clothes, glasses_frame
from blurgen.faces.procedural.skin import bare_skin, beard, facial_skin, lit
from blurgen.labels import Label

_BACKGROUND = int(Label.BACKGROUND)
_SKIN = int(Label.SKIN)
_HAIR = int(Label.HAIR)
_CAMERA = 14.0  # distance of the viewer, in distances between the pupils
_EYES_Z = 0.98
_SHADOW_STEPS = 12
_FLOOR = -3.0  # height of the scene behind
_HAIR_OUTSIDE = 0.0  # above this height the hair over the skull lies outside the head


@njit(cache=True, error_model="numpy")
def _ray(p, row, column, size):
    """Return the ray of a pixel in the head's frame: origin in the plane through its middle, direction."""
    x = ((column + 0.5) / size - p.origin_x) / p.iod
    y = ((row + 0.5) / size - p.origin_y) / p.iod
    vx = x * p.roll_cos + y * p.roll_sin
    vy = y * p.roll_cos - x * p.roll_sin
    # the place between the eyes moves half as far as the turn takes it: the head stays centred
    wx = vx + 0.5 * _EYES_Z * p.yaw_sin * p.pitch_cos
    wy = vy + 0.5 * _EYES_Z * p.pitch_sin
    ox, oy, oz = to_head(p, wx, wy, 0.0)
    dx, dy, dz = to_head(p, wx / _CAMERA, wy / _CAMERA, -1.0)
    return ox, oy, oz, dx, dy, dz, vx, vy


@njit(cache=True, error_model="numpy")
def _shape(p, size, head_path, head_edge, shell_path, shell_alpha, curtain_path, curtain_alpha, height):
    """Find head and hair under every pixel; ``height`` is what light from the side meets."""
    pixel = 1.0 / (size * p.iod)
    for row in range(size):
        for column in range(size):
            ox, oy, oz, dx, dy, dz, _, _ = _ray(p, row, column, size)
            top = _FLOOR
            path, alpha = curtain_hit(p, ox, oy, oz, dx, dy, dz, pixel)
            curtain_path[row, column] = path
            curtain_alpha[row, column] = alpha
            if alpha > 0.5:
                top = max(top, -path)
            path, alpha = shell_hit(p, ox, oy, oz, dx, dy, dz, pixel)
            shell_path[row, column] = path
            shell_alpha[row, column] = alpha
            if alpha > 0.5:
                top = max(top, -path)
            head_path[row, column] = FAR
            head_edge[row, column] = 1.0
            if alpha < 1.0 or oy + path * dy > _HAIR_OUTSIDE:
                path, edge = trace_head(p, ox, oy, oz, dx, dy, dz)
                head_path[row, column] = path
                head_edge[row, column] = edge
                if edge < 0.5 * pixel:
                    top = max(top, -path)
            height[row, column] = top


@njit(cache=True, error_model="numpy")
def _lightness(p, height, row, column, start, size):
    """Return the share of the key light that reaches a place at height ``start``: a soft shadow."""
    unit = p.iod * size
    step_x = (p.key_x * p.roll_cos - p.key_y * p.roll_sin) * unit
    step_y = (p.key_x * p.roll_sin + p.key_y * p.roll_cos) * unit
    dark = 0.0
    way = 0.05
    for _ in range(_SHADOW_STEPS):
        x = column + way * step_x
        y = row + way * step_y
        if x < 0.0 or y < 0.0 or x >= size - 1.0 or y >= size - 1.0:
            break
        ix = int(x)
        iy = int(y)
        upper = mix(height[iy, ix], height[iy, ix + 1], x - ix)
        lower = mix(height[iy + 1, ix], height[iy + 1, ix + 1], x - ix)
        over = mix(upper, lower, y - iy) - (start + way * p.key_z)
        if over > 0.0 and over < 0.9:
            dark = max(dark, clamp01(over / (0.05 + 0.25 * way)))
        way *= 1.24
    return 1.0 - dark


@njit(cache=True, error_model="numpy")
def _openness(p, height, row, column, start, size):
    """Return the share of the surroundings a place sees: 1 in the open, less in hollows."""
    unit = p.iod * size
    hidden = 0.0
    for ring in range(2):
        reach = 0.1 if ring == 0 else 0.28
        near = max(int(reach * unit), 1)
        far = max(int(0.7 * reach * unit), 1)
        for i in range(8):
            dx = (near, far, 0, -far, -near, -far, 0, far)[i]
            dy = (0, far, near, far, 0, -far, -near, -far)[i]
            y = row + dy
            x = column + dx
            if y >= 0 and x >= 0 and y < size and x < size:
                over = (height[y, x] - start) / reach
                if over > 0.0 and over < 6.0:
                    hidden += min(over, 1.2)
    return 1.0 / (1.0 + 0.16 * hidden)


@njit(cache=True, error_model="numpy")
def _head_colour(p, x, y, z, edge, pixel, lx, ly, lz, open_sky, shadow):
    """Return the lit colour and the label of the head at a place of its surface."""
    nx, ny, nz = head_normal(p, x, y, z, edge)
    r, g, b = bare_skin(p, x, y, z, p.skin[0], p.skin[1], p.skin[2])
    label = _SKIN
    gloss = p.shine
    if z > 0.0:
        r, g, b = facial_skin(p, x, y, r, g, b)
        if p.stubble + p.beard + p.moustache > 0.0:
            r, g, b = beard(p, x, y, z, r, g, b)
        r, g, b, label = nose(p, x, y, pixel, r, g, b, label)
        r, g, b, label, gloss = mouth(p, x, y, pixel, r, g, b, label, gloss)
        r, g, b, label = brow(p, x, y, pixel, r, g, b, label)
        r, g, b, label, gloss = eye(p, x, y, pixel, r, g, b, label, gloss)
    r, g, b = lit(p, nx, ny, nz, lx, ly, lz, r, g, b, open_sky, shadow, gloss)
    return r, g, b, label


@njit(cache=True, error_model="numpy")
def _body(p, ox, oy, oz, dx, dy, dz, vx, vy, pixel, lx, ly, lz, r, g, b):
    """Put neck, clothes and ears, all background in the label map, over colour (r, g, b).

    Returns the colour and how much of it is body.
    """
    covered = 0.0
    path, near = ellipsoid_hit(ox, oy - 2.3, oz + 0.45, dx, dy, dz, p.neck, 2.4, 0.7)
    alpha = cover((near - 1.0) * p.neck, pixel)
    if alpha > 0.0:
        x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
        sr, sg, sb = bare_skin(p, x, y, z, p.skin[0], p.skin[1], p.skin[2])
        under = 0.2 + 0.8 * ramp(p.chin_y - 0.15, p.chin_y + 0.8, y - 0.25 * abs(x))
        tendon = abs(x) - 0.75 * (2.6 - y) - 0.05
        sr, sg, sb = lit(
            p,
            x / p.neck,
            -0.1,
            math.sqrt(max(0.05, 1.0 - x * x / (p.neck * p.neck))),
            lx,
            ly,
            lz,
            sr,
            sg,
            sb,
            under * (1.0 - 0.15 * bump(tendon * tendon * 90.0)),
            under * under,
            0.0,
        )
        r, g, b = mix(r, sr, alpha), mix(g, sg, alpha), mix(b, sb, alpha)
        covered = alpha
    alpha, sr, sg, sb = clothes(p, vx, vy, pixel)
    r, g, b = mix(r, sr, alpha), mix(g, sg, alpha), mix(b, sb, alpha)
    covered = max(covered, alpha)
    for side in (-1.0, 1.0):
        ex = p.skull_x - 0.01
        path, near = ellipsoid_hit(ox - side * ex, oy - 0.12, oz + 0.2, dx, dy, dz, 0.1, 0.29, 0.2)
        alpha = cover((near - 1.0) * 0.1, pixel)
        if alpha > 0.0:
            x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
            sr, sg, sb = bare_skin(p, x, y, z, p.skin[0], p.skin[1], p.skin[2])
            ey = (y - 0.12) / 0.29
            er = math.sqrt(near * near * 0.7 + ey * ey * 0.3)
            rim = (
                1.0
                - 0.55 * bump((er - 0.62) * (er - 0.62) * 30.0)
                - 0.4 * bump((ey - 0.15) * (ey - 0.15) * 8.0 + er * er * 4.0)
            )
            sr, sg, sb = lit(
                p, side * 0.6, ey * 0.4, 0.7, lx, ly, lz, sr * 1.02, sg * 0.9, sb * 0.9, rim, 0.85 * rim, 0.02
            )
            r, g, b = mix(r, sr, alpha), mix(g, sg, alpha), mix(b, sb, alpha)
            covered = max(covered, alpha)
    return r, g, b, covered


@njit(cache=True, error_model="numpy")
def _tone(p, u, v, light):
    """Return the 8-bit value of linear light at (u, v) of the picture."""
    du = u - 0.5
    dv = v - 0.5
    light = max(light, 0.0) * p.exposure * (1.0 - p.vignette * (du * du + dv * dv))
    light = light / (0.82 + 0.18 * light)  # shoulder: highlights roll off
    value = math.sqrt(light)
    value = mix(value, value * value * (3.0 - 2.0 * min(value, 1.0)), p.contrast)
    return int(clamp01(value) * 255.0 + 0.5)


@njit(cache=True, error_model="numpy")
def _colour(
    p,
    size,
    head_path,
    head_edge,
    shell_path,
    shell_alpha,
    curtain_path,
    curtain_alpha,
    height,
    pixels,
    labels,
):
    """Light and colour every pixel, back to front; the label is that of the topmost half-covering part."""
    pixel = 1.0 / (size * p.iod)
    lx, ly, lz = to_head(p, p.key_x, p.key_y, p.key_z)
    for row in range(size):
        for column in range(size):
            u = (column + 0.5) / size
            v = (row + 0.5) / size
            ox, oy, oz, dx, dy, dz, vx, vy = _ray(p, row, column, size)
            label = _BACKGROUND
            shell = shell_alpha[row, column]
            beside = curtain_alpha[row, column]
            on_head = clamp01(1.0 - (head_edge[row, column] - CLOSE) / pixel)
            if on_head > 0.0:
                shell *= clamp01(1.0 + (head_path[row, column] - shell_path[row, column]) / 0.04)
            if beside > 0.0:
                shell *= 1.0 - beside * clamp01((shell_path[row, column] - curtain_path[row, column]) / 0.05)
            before = beside * clamp01(0.5 + (head_path[row, column] - curtain_path[row, column]) / 0.04)
            r, g, b = 0.0, 0.0, 0.0
            if on_head < 1.0 and shell < 1.0 and beside < 1.0:
                r, g, b = background(p, u, v, 1.0 / size)
                path, alpha = back_hair(p, ox, oy, oz, dx, dy, dz, pixel)
                if alpha > 0.0:
                    x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
                    hr, hg, hb = hair_colour(p, x, y, z, 0.3 * x, 0.0, 0.75, pixel, lx, ly, lz, 0.55, 0.3)
                    r, g, b = mix(r, hr, alpha), mix(g, hg, alpha), mix(b, hb, alpha)
                    if alpha >= 0.5:
                        label = _HAIR
                r, g, b, alpha = _body(p, ox, oy, oz, dx, dy, dz, vx, vy, pixel, lx, ly, lz, r, g, b)
                if alpha >= 0.5:
                    label = _BACKGROUND
            hr, hg, hb = 0.0, 0.0, 0.0
            if beside > 0.0 and shell < 1.0:
                path = curtain_path[row, column]
                x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
                shadow = _lightness(p, height, row, column, -path + 0.2, size)
                sky = _openness(p, height, row, column, -path + 0.15, size)
                nx, ny, nz = curtain_normal(p, x, y, z)
                hr, hg, hb = hair_colour(p, x, y, z, nx, ny, nz, pixel, lx, ly, lz, sky, shadow)
                r, g, b = mix(r, hr, beside), mix(g, hg, beside), mix(b, hb, beside)
                if beside >= 0.5:
                    label = _HAIR
            if on_head > 0.0 and before < 1.0 and shell < 1.0:
                path = head_path[row, column]
                x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
                shadow = _lightness(p, height, row, column, -path + 0.03, size)
                sky = _openness(p, height, row, column, -path, size)
                sr, sg, sb, on = _head_colour(
                    p, x, y, z, head_edge[row, column], pixel, lx, ly, lz, sky, shadow
                )
                r, g, b = mix(r, sr, on_head), mix(g, sg, on_head), mix(b, sb, on_head)
                if on_head >= 0.5:
                    label = on
                if p.glasses > 0.0:
                    path = (1.2 - oz) / dz
                    alpha, glare = glasses_frame(p, ox + path * dx, oy + path * dy, pixel)
                    alpha *= on_head
                    gloss = 0.5 + 0.7 * shadow
                    r = mix(r + glare, p.frame[0] * gloss, alpha)
                    g = mix(g + glare, p.frame[1] * gloss, alpha)
                    b = mix(b + glare, p.frame[2] * gloss, alpha)
                    if alpha >= 0.5:
                        label = _BACKGROUND
                r, g, b = mix(r, hr, before), mix(g, hg, before), mix(b, hb, before)
                if before >= 0.5:
                    label = _HAIR
            if shell > 0.0:
                path = shell_path[row, column]
                x, y, z = ox + path * dx, oy + path * dy, oz + path * dz
                shadow = _lightness(p, height, row, column, -path + 0.06, size)
                sky = _openness(p, height, row, column, -path, size)
                nx, ny, nz = shell_normal(p, x, y, z)
                hr, hg, hb = hair_colour(p, x, y, z, nx, ny, nz, pixel, lx, ly, lz, sky, shadow)
                r, g, b = mix(r, hr, shell), mix(g, hg, shell), mix(b, hb, shell)
                if shell >= 0.5:
                    label = _HAIR
            pixels[row, column, 0] = _tone(p, u, v, r)
            pixels[row, column, 1] = _tone(p, u, v, g)
            pixels[row, column, 2] = _tone(p, u, v, b)
            labels[row, column] = label


@njit(cache=True, error_model="numpy", nogil=True)
def render(p, size, scratch, pixels, labels):
    """Fill ``pixels`` [size, size, 3] and ``labels`` [size, size], uint8, with the person ``p``.

    ``scratch`` is float64 [7, size, size].
    """
    head_path, head_edge = scratch[0], scratch[1]
    shell_path, shell_alpha = scratch[2], scratch[3]
    curtain_path, curtain_alpha, height = scratch[4], scratch[5], scratch[6]
    _shape(p, size, head_path, head_edge, shell_path, shell_alpha, curtain_path, curtain_alpha, height)
    _colour(
        p,
        size,
        head_path,
        head_edge,
        shell_path,
        shell_alpha,
        curtain_path,
        curtain_alpha,
        height,
        pixels,
        labels,
    )
