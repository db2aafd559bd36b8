"""The head as a solid: where a ray meets it and how the surface is turned.

Unit: the distance between the pupils. Origin: between the eyes in height, inside the skull in depth.
x to the viewer's right, y down, z towards the viewer.
"""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.noise import bump, ramp

_STEPS = 20
CLOSE = 0.0025  # such a distance to the head counts as on it


@njit(cache=True, error_model="numpy")
def to_head(p, x, y, z):
    """Turn a direction or place from the camera's frame into the head's (pitch, then yaw, undone)."""
    y1 = y * p.pitch_cos - z * p.pitch_sin
    z1 = y * p.pitch_sin + z * p.pitch_cos
    return x * p.yaw_cos - z1 * p.yaw_sin, y1, x * p.yaw_sin + z1 * p.yaw_cos


@njit(cache=True, error_model="numpy")
def ellipsoid_distance(x, y, z, rx, ry, rz):
    """Return about the distance of a point to an ellipsoid around the origin, negative inside."""
    ax = x / rx
    ay = y / ry
    az = z / rz
    k0 = math.sqrt(ax * ax + ay * ay + az * az)
    ax /= rx
    ay /= ry
    az /= rz
    return k0 * (k0 - 1.0) / (math.sqrt(ax * ax + ay * ay + az * az) + 1e-9)


@njit(cache=True, error_model="numpy")
def ellipsoid_hit(ox, oy, oz, dx, dy, dz, rx, ry, rz):
    """Return (path, nearness) of a ray and an ellipsoid around the origin.

    ``path`` is where the ray enters it, or comes nearest; ``nearness`` is the smallest distance from the
    centre in units of the radius, so below 1 is a hit.
    """
    ox /= rx
    oy /= ry
    oz /= rz
    dx /= rx
    dy /= ry
    dz /= rz
    dd = dx * dx + dy * dy + dz * dz
    od = ox * dx + oy * dy + oz * dz
    closest = -od / dd
    rest = ox * ox + oy * oy + oz * oz - od * od / dd
    if rest >= 1.0:
        return closest, math.sqrt(rest)
    return closest - math.sqrt((1.0 - rest) / dd), math.sqrt(max(rest, 0.0))


@njit(cache=True, error_model="numpy")
def _blend(a, b, k):
    """Return the smooth minimum of two distances: rounded where they meet, over a width of k."""
    h = max(k - abs(a - b), 0.0) / k
    return min(a, b) - h * h * k * 0.25


@njit(cache=True, error_model="numpy")
def _relief(p, x, y):
    """Return how far the soft forms stand out of the bare shape at (|x|, y), seen from the front."""
    rise = 0.0
    ex = x - 0.5
    if y < 0.62 and y > -0.72:
        ey = y - p.eye_y
        rise -= p.socket * bump((ex + 0.08) * (ex + 0.08) * 6.5 + ey * ey * 13.0)
        rise += 0.085 * bump(ex * ex * 15.0 + ey * ey * 42.0)
        rise -= 0.03 * p.age * bump(ex * ex * 12.0 + (ey - 0.2) * (ey - 0.2) * 120.0)
        by = y - p.eye_y + 0.33
        rise += p.brow_ridge * bump(ex * ex * 4.0 + by * by * 40.0)
    cx = x - 0.64
    cy = y - 0.5 + 0.12 * p.smile
    rise += p.cheek * bump(cx * cx * 5.0 + cy * cy * 7.0)
    if y > 0.55:
        # the fold from the nose wing to the corner of the mouth
        along = (y - 0.62) / (p.mouth_y - 0.5)
        fold = x - 0.27 - 0.26 * along
        rise -= p.fold * bump(fold * fold * 110.0 + (along - 0.5) * (along - 0.5) * 3.0)
        my = y - p.mouth_y
        rise += 0.08 * bump(x * x * 3.2 + my * my * 7.0)
        rise += 0.05 * bump(x * x * 7.0 + (my + 0.09) * (my + 0.09) * 110.0)
        low = my - 0.13 - 0.7 * p.mouth_open
        rise += 0.065 * bump(x * x * 8.0 + low * low * 85.0)
        dent = low - 0.17
        rise -= 0.05 * bump(x * x * 8.0 + dent * dent * 90.0)
        groove = (y - p.nose_y - 0.12) * 6.0
        rise -= 0.016 * bump(x * x * 160.0 + groove * groove)
    return rise


@njit(cache=True, error_model="numpy")
def _nose_distance(p, x, y, z):
    """Return the distance to the nose; x is not negative."""
    base_z = p.nose_z
    t = min(max((y + 0.12) / (p.nose_y - 0.02), 0.0), 1.0)
    ridge_z = base_z - 0.2 + (p.nose_out + 0.08) * t * (0.75 + 0.25 * t)
    ridge_y = -0.12 + t * (p.nose_y - 0.02)
    radius = 0.1 * p.nose_wide + 0.035 * t
    dy = y - ridge_y
    dz = z - ridge_z
    nose = math.sqrt(x * x + dy * dy + dz * dz) - radius
    dy = y - p.nose_y + 0.1
    dz = z - (base_z + p.nose_out - 0.16)
    tip = math.sqrt(x * x * 0.85 + dy * dy + dz * dz) - p.nose_tip
    nose = _blend(nose, tip, 0.1)
    wx = x - p.nose_wing
    dy = y - p.nose_y + 0.06
    dz = z - (base_z + 0.02)
    wing = ellipsoid_distance(wx, dy, dz, 0.115, 0.12, 0.17)
    return _blend(nose, wing, 0.07)


@njit(cache=True, error_model="numpy")
def head_distance(p, x, y, z):
    """Return about the distance of a point to the head without ears and neck, negative inside."""
    x = abs(x)
    skull = ellipsoid_distance(x, y + 0.42, z + 0.3, p.skull_x, p.skull_y, 1.42)
    low = max(y - 0.25, 0.0) / 1.5
    wide = 1.0 - p.jaw_taper * low * low
    jaw = ellipsoid_distance(x / wide, y - p.face_y, z - 0.02, p.face_x, p.face_ry, 1.08) * (
        0.55 + 0.45 * wide
    )
    d = _blend(skull, jaw, 0.35)
    if y > 0.9:
        chin = ellipsoid_distance(x, y - p.chin_y + 0.26, z - p.chin_z, p.chin_x, 0.27, 0.3)
        d = _blend(d, chin, 0.3)
    if z > 0.2:
        if d < 0.3:
            d -= _relief(p, x, y) * ramp(0.2, 0.6, z)
        if x < 0.62 and y > -0.5 and y < 1.15 and z > 0.55:
            d = _blend(d, _nose_distance(p, x, y, z), 0.13)
    return d


@njit(cache=True, error_model="numpy")
def trace_head(p, ox, oy, oz, dx, dy, dz):
    """Follow a ray to the head; return (path, distance) of the place on the head, or nearest to it."""
    path, near = ellipsoid_hit(ox, oy - 0.08, oz - 0.05, dx, dy, dz, 1.37, 2.3, 1.72)
    if near >= 1.0:
        return path, 1.0
    best = 1.0
    best_path = path
    for _ in range(_STEPS):
        d = head_distance(p, ox + path * dx, oy + path * dy, oz + path * dz)
        if d < best:
            best = d
            best_path = path
            if d < CLOSE:
                return path, d
        elif d > best + 0.12:
            break
        path += max(0.96 * d, 0.002)
    return best_path, best


@njit(cache=True, error_model="numpy")
def head_normal(p, x, y, z, here):
    """Return the outward unit normal of the head at a place near its surface, at distance ``here`` to it."""
    e = 0.008
    nx = head_distance(p, x + e, y, z) - here
    ny = head_distance(p, x, y + e, z) - here
    nz = head_distance(p, x, y, z + e) - here
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / length, ny / length, nz / length
