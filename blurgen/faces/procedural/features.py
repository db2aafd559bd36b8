"""Brows, eyes, nose and mouth as they lie on the front of the head: colour and label from one geometry.

Every function takes a place (x, y) of the head seen from the front and the size of a pixel there, in
distances between the pupils, and the colour (linear RGB) and label so far; it returns colour, label
and gloss with its own feature on top.
"""

from __future__ import annotations

import math

from blurgen.compiling.njit import njit
from blurgen.faces.procedural.noise import bump, clamp01, cover, fractal_noise, mix, ramp, value_noise
from blurgen.labels import Label

_LEFT_BROW = int(Label.LEFT_EYEBROW)
_RIGHT_BROW = int(Label.RIGHT_EYEBROW)
_LEFT_EYE = int(Label.LEFT_EYE)
_RIGHT_EYE = int(Label.RIGHT_EYE)
_NOSE = int(Label.NOSE)
_UPPER_LIP = int(Label.UPPER_LIP)
_INNER_MOUTH = int(Label.INNER_MOUTH)
_LOWER_LIP = int(Label.LOWER_LIP)


@njit(cache=True, error_model="numpy")
def brow(p, x, y, pixel, r, g, b, label):
    """Paint the brow on this side of the face: strands that lean outwards, denser in the middle."""
    along = (abs(x) - p.brow_inner) / p.brow_length
    if along < -0.12 or along > 1.12:
        return r, g, b, label
    arch = p.brow_arch * (1.0 - 4.0 * (along - 0.62) * (along - 0.62)) + p.brow_tilt * (1.0 - along)
    off = y - p.brow_y + arch
    half = p.brow_thick * (0.55 + 0.6 * ramp(0.0, 0.25, along)) * (1.0 - 0.75 * ramp(0.55, 1.05, along))
    half *= ramp(-0.06, 0.04, along) * ramp(1.06, 0.96, along)
    if half <= 0.0 or abs(off) > half + 0.05:
        return r, g, b, label
    side = 0 if x > 0.0 else 7
    lean = along * p.brow_length + off * (0.9 - 1.7 * along)
    strand = value_noise(lean * 52.0, off * 9.0 + along * 4.0, p.salt + 11 + side)
    ragged = half + 0.014 * strand
    alpha = cover(abs(off) - ragged, 0.7 * pixel + 0.012)
    shade = alpha * p.brow_dense * clamp01(0.8 + 0.3 * strand)
    if abs(off) < half:
        label = _LEFT_BROW if x > 0.0 else _RIGHT_BROW
    return (
        mix(r, p.brow_colour[0], shade),
        mix(g, p.brow_colour[1], shade),
        mix(b, p.brow_colour[2], shade),
        label,
    )


@njit(cache=True, error_model="numpy")
def _eyeball(p, dx, y, pixel):
    """Return the colour of the open eye; dx from its middle to the viewer's right, y down."""
    gx = dx - p.gaze_x
    gy = y - p.gaze_y
    radius = math.sqrt(gx * gx + gy * gy)
    corner = clamp01(dx * dx / (p.eye_half * p.eye_half))
    white = 0.72 - 0.3 * corner
    vein = max(0.0, fractal_noise(dx * 30.0, y * 60.0, 2, p.salt + 21)) * corner
    r = white
    g = white * (0.93 - 0.25 * vein - 0.1 * corner)
    b = white * (0.9 - 0.28 * vein - 0.1 * corner)
    # a spoke angle without arc functions: place on the diamond |x| + |y| = 1
    spoke = gx / (abs(gx) + abs(gy) + 1e-9)
    fibre = value_noise(spoke * 9.0 + (30.0 if gy > 0.0 else 0.0), radius * 14.0, p.salt + 22)
    rel = radius / p.iris
    rim = ramp(0.72, 1.0, rel)
    light = (0.95 + 0.55 * fibre) * (1.25 + 1.1 * gy / p.iris * clamp01(rel))
    alpha = cover(radius - p.iris, pixel + 0.006)
    r = mix(r, mix(p.iris_colour[0] * light, p.iris_rim[0] * 0.6, rim), alpha)
    g = mix(g, mix(p.iris_colour[1] * light, p.iris_rim[1] * 0.6, rim), alpha)
    b = mix(b, mix(p.iris_colour[2] * light, p.iris_rim[2] * 0.6, rim), alpha)
    alpha = cover(radius - p.iris * p.pupil, pixel)
    r, g, b = mix(r, 0.004, alpha), mix(g, 0.004, alpha), mix(b, 0.004, alpha)
    hx = gx - 0.035 * p.key_x * 1.6
    hy = gy + 0.035
    alpha = cover(math.sqrt(hx * hx + hy * hy) - 0.02, pixel)
    alpha = max(
        alpha, 0.4 * cover(math.sqrt((gx + 0.03) * (gx + 0.03) + (gy - 0.035) * (gy - 0.035)) - 0.011, pixel)
    )
    return mix(r, 1.3, alpha), mix(g, 1.3, alpha), mix(b, 1.3, alpha)


@njit(cache=True, error_model="numpy")
def eye(p, x, y, pixel, r, g, b, label, gloss):
    """Paint the eye on this side: lids, crease, lashes, ball."""
    out = (abs(x) - 0.5) / p.eye_half
    if abs(out) > 1.45 or y < -0.33 or y > 0.3:
        return r, g, b, label, gloss
    rise = y - p.eye_y - p.eye_tilt * out
    arc = max(0.0, 1.0 - out * out)
    skewed = out + 0.18
    upper = -p.eye_up * max(0.0, arc) * (1.0 - 0.18 * out) - 0.012 * (1.0 - out) * arc
    lower = p.eye_low * arc * (1.0 + 0.25 * out)
    steep = 1.0 / math.sqrt(1.0 + (2.0 * p.eye_up * out / p.eye_half) * (2.0 * p.eye_up * out / p.eye_half))
    inside = max(upper - rise, rise - lower) * steep
    if arc <= 0.0:
        inside = max(inside, (abs(out) - 1.0) * p.eye_half)
    near = 1.0 - ramp(1.0, 1.4, abs(out))

    # the lid: make-up, crease, the shade under the eye
    fold = rise - upper + p.crease
    dark = 0.5 * near * bump(fold * fold / (0.022 * 0.022)) * (0.4 + 0.6 * arc)
    if rise < upper:
        dark += 0.6 * p.makeup * near * bump(fold * fold / 0.03)
    bag = rise - lower - 0.09
    dark += (0.1 + 0.25 * p.age) * near * bump(bag * bag / (0.035 * 0.035))
    dark += 0.3 * near * bump(inside * inside / (0.03 * 0.03))
    dark = min(dark, 0.85)
    r *= 1.0 - 0.75 * dark
    g *= 1.0 - 0.9 * dark
    b *= 1.0 - 0.88 * dark

    alpha = cover(inside, pixel)
    if alpha > 0.0:
        er, eg, eb = _eyeball(p, x - (0.5 if x > 0.0 else -0.5), rise, pixel)
        lid = 1.0 - 0.62 * ramp(0.05, 0.0, rise - upper)
        r, g, b = mix(r, er * lid, alpha), mix(g, eg * lid, alpha), mix(b, eb * lid, alpha)
        tear = bump((out + 0.93) * (out + 0.93) * 80.0) * alpha
        r, g, b = mix(r, 0.5, 0.6 * tear), mix(g, 0.2, 0.6 * tear), mix(b, 0.18, 0.6 * tear)
        if inside < 0.0:
            label = _LEFT_EYE if x > 0.0 else _RIGHT_EYE
            gloss = 0.0

    # lashes: a dark rim on the upper lid, thicker outwards, and single hairs above it
    rim = abs(rise - upper) - (0.012 + 0.014 * p.lash * (0.6 + 0.4 * skewed))
    hairs = value_noise(out * 15.0 + rise * 18.0 * out, rise * 3.0, p.salt + 31)
    lashes = rise - upper + 0.07 * p.lash * (0.55 + 0.45 * out) * clamp01(0.5 + hairs)
    alpha = (0.6 + 0.4 * p.lash) * cover(rim, pixel)
    if rise < upper:
        alpha = max(alpha, 0.75 * p.lash * cover(-lashes, pixel))
    alpha = max(alpha, 0.3 * p.lash * cover(abs(rise - lower) - 0.008, pixel))
    alpha *= ramp(1.12, 0.96, abs(out))
    return mix(r, 0.012, alpha), mix(g, 0.01, alpha), mix(b, 0.009, alpha), label, gloss


@njit(cache=True, error_model="numpy")
def nose(p, x, y, pixel, r, g, b, label):
    """Mark the nose and paint its nostrils and the crease around its wings."""
    side = abs(x)
    if side > 0.6 or y < -0.2 or y > p.nose_y + 0.2:
        return r, g, b, label
    foot = p.nose_y + 0.06
    down = clamp01((y + 0.12) / (foot + 0.12))
    half = mix(0.12, p.nose_wing + 0.125, ramp(0.35, 0.9, down))
    lift = foot - 0.12 * side * side / (half * half)
    inside = max(side - half, -0.12 - y, y - lift)
    if inside < 0.0:
        label = _NOSE
    dx = (side - 0.58 * p.nose_wing - 0.01) / (0.34 * p.nose_wing + 0.012)
    dy = (y - p.nose_y - 0.018 - 0.12 * side) / 0.034
    hole = 0.85 * clamp01(1.25 - (dx * dx + dy * dy)) * ramp(0.0, 0.08, half - side)
    wx = (side - p.nose_wing - 0.125) / 0.022
    wy = (y - p.nose_y + 0.04) / 0.11
    hole = max(hole, 0.35 * bump(wx * wx + wy * wy))
    return r * (1.0 - 0.92 * hole), g * (1.0 - 0.97 * hole), b * (1.0 - 0.97 * hole), label


@njit(cache=True, error_model="numpy")
def _inner_mouth(p, u, depth, low, pixel):
    """Return the colour between the lips: teeth under the upper lip, tongue, darkness."""
    r, g, b = 0.05, 0.012, 0.012
    tongue = ramp(0.1, 0.0, low) * (1.0 - u * u)
    r, g, b = mix(r, 0.36, 0.7 * tongue), mix(g, 0.1, 0.7 * tongue), mix(b, 0.1, 0.7 * tongue)
    x = u * p.mouth_half
    tooth = x / (0.085 - 0.018 * min(abs(u) * 1.5, 1.0))
    cell = tooth - math.floor(tooth) - 0.5
    bottom = 0.105 - 0.02 * abs(cell) - 0.028 * u * u
    alpha = cover(depth - bottom, pixel) * ramp(0.98, 0.7, abs(u))
    shade = (
        p.teeth * (0.88 - 0.5 * u * u) * (1.0 - 0.35 * ramp(0.43, 0.5, abs(cell))) * ramp(-0.035, 0.03, depth)
    )
    return mix(r, shade, alpha), mix(g, 0.93 * shade, alpha), mix(b, 0.84 * shade, alpha)


@njit(cache=True, error_model="numpy")
def mouth(p, x, y, pixel, r, g, b, label, gloss):
    """Paint lips, and teeth and tongue where the mouth is open."""
    u = x / p.mouth_half
    if abs(u) > 1.25 or y < p.mouth_y - 0.4 or y > p.mouth_y + p.mouth_open + 0.5:
        return r, g, b, label, gloss
    arc = max(0.0, 1.0 - u * u)
    soft = arc * (0.7 + 0.3 * arc)
    line = p.mouth_y - 0.1 * p.smile * (u * u - 0.25)
    gap = p.mouth_open * arc * (0.6 + 0.4 * arc)
    top = line - 0.25 * gap
    low = line + 0.75 * gap
    peak = 1.0 - p.cupid * bump(u * u * 40.0) + 0.25 * bump((abs(u) - 0.24) * (abs(u) - 0.24) * 14.0)
    crown = top - p.lip_up * soft * peak
    foot = low + p.lip_low * arc * (0.75 + 0.25 * arc)
    side = (abs(u) - 1.0) * p.mouth_half

    shade = bump(((abs(u) - 1.02) * (abs(u) - 1.02)) * 60.0 + (y - line) * (y - line) * 300.0)
    shade = max(shade, 0.3 * bump((y - foot - 0.07) * (y - foot - 0.07) * 300.0 + u * u * 2.0))
    r *= 1.0 - 0.3 * shade
    g *= 1.0 - 0.42 * shade
    b *= 1.0 - 0.42 * shade

    inside = max(crown - y, y - foot, side)
    alpha = cover(inside, pixel + 0.012)
    if alpha <= 0.0:
        return r, g, b, label, gloss
    wrinkle = value_noise(u * 17.0 + 0.6 * u * (y - line), y * 5.0, p.salt + 41) * 0.6
    wrinkle += value_noise(u * 39.0, y * 9.0, p.salt + 42) * 0.4
    upper = y < 0.5 * (top + low)
    tone = 1.0 + 0.16 * wrinkle
    if upper:
        tone *= 0.82
    tone *= 1.0 - 0.45 * bump((y - line) * (y - line) * 900.0) * (1.0 if gap < 0.01 else 0.0)
    r, g, b = mix(r, p.lip[0] * tone, alpha), mix(g, p.lip[1] * tone, alpha), mix(b, p.lip[2] * tone, alpha)
    if inside < 0.0:
        label = _UPPER_LIP if upper else _LOWER_LIP
        gloss = gloss * 1.5 + 0.05 * (1.0 + wrinkle)
    opened = max(top - y, y - low)
    slit = cover(abs(y - line) - 0.011, pixel) if gap < 0.01 else 0.0
    slit *= 0.85 * ramp(1.02, 0.9, abs(u))
    r, g, b = mix(r, 0.03, slit), mix(g, 0.01, slit), mix(b, 0.01, slit)
    if gap > 0.0:
        alpha = cover(opened, pixel) * ramp(0.0, 0.02, gap)
        if alpha > 0.0:
            mr, mg, mb = _inner_mouth(p, u, y - top, low - y, pixel)
            r, g, b = mix(r, mr, alpha), mix(g, mg, alpha), mix(b, mb, alpha)
        if opened < 0.0 and inside < 0.0:
            label = _INNER_MOUTH
            gloss = 0.1
    return r, g, b, label, gloss
