"""Slow, obvious reference versions, written from FORMAT.md and the equations; none imports blurgen."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

# --- Triplets (FORMAT.md, sections 1 to 3) ------------------------------------------------------------

CLASSES = ({0}, {1}, {2, 3, 4, 5, 6, 7, 8, 9}, {10})
KERNEL_STREAM, CROP_STREAM, NOISE_STREAM = 2, 3, 4


def philox_block(seed, stream, sample, block):
    """Return the four words of one Philox4x32-10 evaluation, as Python integers."""
    low = 2**32 - 1
    counter = [block & low, sample & low, sample >> 32, stream]
    key = [seed & low, seed >> 32]
    for _ in range(10):
        p0 = 0xD2511F53 * counter[0]
        p1 = 0xCD9E8D57 * counter[2]
        counter = [(p1 >> 32) ^ counter[1] ^ key[0], p1 & low, (p0 >> 32) ^ counter[3] ^ key[1], p0 & low]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return counter


def plan(seed, sample, heights, widths, kernel_count, kernel_size, patch):
    """Return (image, top, left, kernel) of one sample (section 2)."""
    radius = (kernel_size - 1) // 2
    image = sample % len(heights)
    kernel = (philox_block(seed, KERNEL_STREAM, sample, 0)[0] * kernel_count) >> 32
    words = philox_block(seed, CROP_STREAM, sample, 0)
    corner = []
    for word, side in zip(words, (int(heights[image]), int(widths[image])), strict=False):
        if side >= patch + 2 * radius:
            corner.append(radius + ((word * (side - patch - 2 * radius + 1)) >> 32))
        else:
            corner.append((word * (side - patch + 1)) >> 32)
    return image, corner[0], corner[1], kernel


@cache
def normal_quantiles():
    """Return Z, 65536 Python integers."""
    normal = NormalDist()
    return [math.floor(32768 * normal.inv_cdf((u + 0.5) / 65536) + 0.5) for u in range(65536)]


def noise(seed, sample, sigma, patch):
    """Return N of every element, int64 [P, P, 3] (section 3)."""
    z = normal_quantiles()
    s = math.floor(sigma * 255 * 65536 + 0.5)
    elements = []
    for e in range(patch * patch * 3):
        word = e // 2
        if e % 8 == 0:
            block = philox_block(seed, NOISE_STREAM, sample, word // 4)
        u = (block[word % 4] >> (16 * (e % 2))) & 0xFFFF
        elements.append((z[u] * s + 32768) >> 16)
    return np.array(elements, np.int64).reshape(patch, patch, 3)


def mirrored(coordinate, side):
    """Return where a coordinate lands after being mirrored about the outermost pixels, not repeated."""
    if side == 1:
        return 0
    while not 0 <= coordinate < side:
        coordinate = -coordinate if coordinate < 0 else 2 * (side - 1) - coordinate
    return coordinate


def blur(picture, kernel, top, left, patch):
    """Return B, int64 [P, P, C]: true convolution of ``picture`` [H, W, C] with a Q15 kernel [M, M]."""
    height, width, channels = picture.shape
    radius = (len(kernel) - 1) // 2
    total = np.zeros((patch, patch, channels), np.int64)
    for i in range(-radius, radius + 1):
        rows = [mirrored(top + y - i, height) for y in range(patch)]
        for j in range(-radius, radius + 1):
            weight = int(kernel[radius + i, radius + j])
            if weight:
                columns = [mirrored(left + x - j, width) for x in range(patch)]
                total += weight * picture[np.ix_(rows, columns)].astype(np.int64)
    return total


def triplet(pixels, labels, kernel, seed, sample, top, left, patch, sigma, isolation="composite"):
    """Return (clean, blurry, mask, isolated [4, P, P, 3], class pixels [4]) of one sample (section 3).

    ``pixels`` [H, W, 3] and ``labels`` [H, W] are the whole face, ``kernel`` the [M, M] Q15 weights.
    """
    inside = np.s_[top : top + patch, left : left + patch]
    clean, mask = pixels[inside], labels[inside]
    grain = noise(seed, sample, sigma, patch)
    sharp = 32768 * clean.astype(np.int64)
    blurred = blur(pixels, kernel, top, left, patch)
    isolated, counts = [], []
    for members in CLASSES:
        whole = np.isin(labels, list(members))[..., None]
        m = whole[inside]
        counts.append(int(m.sum()))
        if isolation == "composite":
            moved = np.where(m, blurred, sharp)
        else:
            share = blur(whole.astype(np.uint8), kernel, top, left, patch)
            moved = blur(whole * pixels, kernel, top, left, patch) + (32768 - share) * clean.astype(np.int64)
        isolated.append(finished(moved, grain))
    return clean, finished(blurred, grain), mask, np.array(isolated), counts


def finished(total, grain):
    """Return uint8 grey levels: a Q15 sum with its noise, rounded and clamped."""
    return np.clip((total + grain + 16384) >> 15, 0, 255).astype(np.uint8)


# --- Pictures of a camera (FORMAT.md, section 6) --------------------------------------------------------

HIGHLIGHT_STREAM, SENSOR_STREAM, SHAKE_STREAM = 7, 8, 9
FULL_LIGHT, RIM = 8191, 2


@cache
def light_of(curve):
    """Return the linear light of 256 display values; double precision is enough (section 6)."""
    g = 1.8 + 0.8 * (curve - 1) / 15
    table = []
    for d in range(256):
        x = d / 255
        if curve == 0:
            v = x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
        elif x <= 0.055 / (g - 1):
            v = x * g / 1.055 * ((0.055 / (g - 1) + 0.055) / 1.055) ** (g - 1)
        else:
            v = ((x + 0.055) / 1.055) ** g
        table.append(math.floor(FULL_LIGHT * v + 0.5))
    return table


@cache
def display_of(curve):
    """Return the display values of all linear light from 0 to 8191."""
    light = light_of(curve)
    return [sum(light[d - 1] + light[d] <= 2 * v for d in range(1, 256)) for v in range(FULL_LIGHT + 1)]


def scene_light(pixels, top, left, side, curve, clip_level, seed, sample):
    """Return the linear light of a window with its highlights, int64 [side, side, 3]."""
    rows = [mirrored(top + y, pixels.shape[0]) for y in range(side)]
    columns = [mirrored(left + x, pixels.shape[1]) for x in range(side)]
    display = pixels[np.ix_(rows, columns)]
    light = np.array(light_of(curve), np.int64)[display]
    clipped = (display >= clip_level).all(axis=2)
    waiting = {(int(y), int(x)) for y, x in np.argwhere(clipped)}
    for first in sorted(waiting):
        if first not in waiting:
            continue
        waiting.remove(first)
        area, grown = [], [first]
        while grown:
            y, x = grown.pop()
            area.append((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & waiting
            waiting -= near
            grown += near
        word = philox_block(seed, HIGHLIGHT_STREAM, sample, first[0] * side + first[1])[0]
        factor = 320 + (word * 385 >> 32)
        for y, x in area:
            light[y, x] = (light[y, x] * factor + 128) >> 8
    return light


def sensor_tables(sensor):
    """Return gain, read and factor, 256 whole numbers each."""
    if sensor == "none":
        return [0] * 256, [0] * 256, [0] * 256
    if sensor == "sony-a7r3":
        times = [0.5 + (i + 0.5) / 256 for i in range(256)]
        exact = (
            [64 * 8191 * 8.8915e-5 * t for t in times],
            [64 * (8191 * 2.943e-5) ** 2] * 256,
            [4096 * t * t for t in times],
        )
    else:
        logs = [math.log(1e-4) + math.log(120) * i / 255 for i in range(256)]
        exact = (
            [64 * 8191 * math.exp(g) for g in logs],
            [64 * 8191**2 * math.exp(2.18 * g + 1.2) for g in logs],
            [4096 * math.exp(0.26 * normal_quantiles()[256 * i + 128] / 32768) for i in range(256)],
        )
    return tuple([math.floor(value + 0.5) for value in table] for table in exact)


def drawn_for(seed, sample, sensor, tone):
    """Return (gain, read) of the noise, the gains of red and blue, and the tone curve."""
    words = philox_block(seed, SENSOR_STREAM, sample, 0)
    gain, read, factor = sensor_tables(sensor)
    i, j = words[0] >> 24, words[1] >> 24
    variance = gain[i], (read[i] * factor[j] + 2048) // 4096
    gains = 1946 + (words[2] * 513 >> 32), 1536 + (words[3] * 411 >> 32)
    curve = 0 if tone == "srgb" else 1 + (philox_block(seed, SENSOR_STREAM, sample, 1)[0] * 16 >> 32)
    return variance, gains, curve


def colour_at(y, x):
    """Return which colour a pixel of the mosaic has: 0 red, 1 green, 2 blue."""
    return (y % 2) + (x % 2)


def exposed(mosaic, variance, gains, grain):
    """Return the white-balanced raw picture [Q, Q]; ``grain`` are normal deviates in Q15, or None."""
    raw = np.zeros_like(mosaic)
    for (y, x), light in np.ndenumerate(mosaic):
        gain = (gains[0], 1024, gains[1])[colour_at(y, x)]
        inverse = (2**26 + gain // 2) // gain
        level = (int(light) * inverse + 2**15) >> 16
        if grain is not None:
            deviation = math.isqrt(variance[0] * level + variance[1])
            level += (int(grain[y, x]) * deviation + 2**17) >> 18
        level = min(max(level, 0), FULL_LIGHT)
        raw[y, x] = min((level * gain + 512) >> 10, FULL_LIGHT)
    return raw


def developed(raw, demosaic, curve):
    """Return the picture uint8 [P, P, 3] of a white-balanced raw one [P + 4, P + 4]."""
    patch = len(raw) - 2 * RIM
    picture = np.zeros((patch, patch, 3), np.uint8)
    for py, px in np.ndindex(patch, patch):
        y, x = py + RIM, px + RIM
        at = {(i, j): int(raw[y + i, x + j]) for i in range(-2, 3) for j in range(-2, 3)}
        here = at[0, 0]
        across, down = at[0, -1] + at[0, 1], at[-1, 0] + at[1, 0]
        diagonal = at[-1, -1] + at[-1, 1] + at[1, -1] + at[1, 1]
        far_across, far_down = at[0, -2] + at[0, 2], at[-2, 0] + at[2, 0]
        own = 0 if y % 2 == 0 else 2  # the other colour of the row
        colours = [0, 0, 0]
        colours[colour_at(y, x)] = here
        if colour_at(y, x) != 1 and demosaic == "malvar":
            colours[1] = (8 * here + 4 * (across + down) - 2 * (far_across + far_down) + 8) >> 4
            colours[2 - own] = (12 * here + 4 * diagonal - 3 * (far_across + far_down) + 8) >> 4
        elif colour_at(y, x) != 1:
            colours[1], colours[2 - own] = (across + down + 2) >> 2, (diagonal + 2) >> 2
        elif demosaic == "malvar":
            colours[own] = (10 * here + 8 * across - 2 * diagonal - 2 * far_across + far_down + 8) >> 4
            colours[2 - own] = (10 * here + 8 * down - 2 * diagonal - 2 * far_down + far_across + 8) >> 4
        else:
            colours[own], colours[2 - own] = (across + 1) >> 1, (down + 1) >> 1
        for c in range(3):
            picture[py, px, c] = display_of(curve)[min(max(colours[c], 0), FULL_LIGHT)]
    return picture


def camera_path(seed, sample, poses, patch, radius, focal_mm):
    """Return focal length, left, top, angles, translations and homographies of a sample's shake."""

    def deviates(block):
        words = philox_block(seed, SHAKE_STREAM, sample, block)
        halves = [half for word in words[:3] for half in (word & 0xFFFF, word >> 16)]
        return [normal_quantiles()[half] / 32768 for half in halves]

    def unit(v):
        inverse = 1.0 / math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        return [c * inverse for c in v]

    words = philox_block(seed, SHAKE_STREAM, sample, 0)
    focal = (focal_mm[0] + (focal_mm[1] - focal_mm[0]) * (words[0] / 2**32)) * (1800 / 43.27)
    left, top = words[1] * (1440 - patch + 1) >> 32, words[2] * (1080 - patch + 1) >> 32
    lever = 0.02 + 0.48 * (words[3] / 2**32)
    h = 1.0 / (8 * (poses - 1))
    keep = 1.0 - h / 0.06
    fresh = math.sqrt(1.0 - keep * keep)
    law = [word / 2**32 for word in philox_block(seed, SHAKE_STREAM, sample, 2)]
    first = deviates(1)
    paths = []
    for n in range(2):
        unrest, pull = 0.5 + 7.0 * law[2 * n], 8.0 * law[2 * n + 1]
        p, f, u = [0.0] * 3, [0.0] * 3, unit(first[3 * n : 3 * n + 3])
        path = [p]
        for t in range(1, 8 * (poses - 1) + 1):
            g = deviates(16 + t - 1)[3 * n : 3 * n + 3]
            f = [keep * f[i] + fresh * g[i] for i in range(3)]
            turn = unrest * (h / math.sqrt(2.0 * 0.06))
            u = unit([u[i] + (turn * f[i] - pull * h * p[i]) for i in range(3)])
            p = [p[i] + h * u[i] for i in range(3)]
            if t % 8 == 0:
                path.append(p)
        paths.append(path)
    angles, shifts = paths[0], [[lever * c for c in p] for p in paths[1]]

    def motion(a, s, u, v):
        forward = a[0] * v - a[1] * u + focal * s[2]
        right = a[1] * focal - a[2] * v + focal * s[0]
        down = a[2] * u - a[0] * focal + focal * s[1]
        return right - u * forward / focal, down - v * forward / focal

    u0, v0, middle = left - 719.5, top - 539.5, (patch - 1) / 2
    moved = [motion(a, s, u0 + middle, v0 + middle) for a, s in zip(angles, shifts, strict=True)]
    mean = [summed(m[i] for m in moved) / poses for i in range(2)]
    ends = (-2, patch + 1)
    most = max(
        abs(motion(a, s, u0 + x, v0 + y)[i] - mean[i])
        for a, s in zip(angles, shifts, strict=True)
        for x in ends
        for y in ends
        for i in range(2)
    )
    scale = radius / most
    angles = [[c * scale for c in a] for a in angles]
    shifts = [[c * scale for c in s] for s in shifts]
    homographies = []
    for a, s in zip(angles, shifts, strict=True):
        p, q, r = (c / 2.0 for c in a)
        k = 2.0 / (1.0 + p * p + q * q + r * r)
        m = [
            [1.0 - k * (q * q + r * r), k * (p * q - r), focal * (k * (p * r + q) + s[0])],
            [k * (p * q + r), 1.0 - k * (p * p + r * r), focal * (k * (q * r - p) + s[1])],
            [k * (p * r - q) / focal, k * (q * r + p) / focal, 1.0 - k * (p * p + q * q) + s[2]],
        ]
        for row in m:
            row[2] = row[0] * u0 + row[1] * v0 + row[2]
        homographies.append(m)
    places = [seen_at(m, middle, middle) for m in homographies]
    offset = [summed(place[i] for place in places) / poses - middle for i in range(2)]
    for m in homographies:
        for i in range(2):
            m[i] = [m[i][j] - offset[i] * m[2][j] for j in range(3)]
    return focal, left, top, angles, shifts, homographies


def seen_at(m, x, y):
    """Return where a homography takes a point."""
    depth = (m[2][0] * x + m[2][1] * y) + m[2][2]
    return tuple(((m[i][0] * x + m[i][1] * y) + m[i][2]) / depth for i in range(2))


def mean_of_poses(light, homographies, margin, q):
    """Return [Q, Q, C], the rounded mean of a window [S, S, C] over all poses."""
    side, last = len(light), 256 * (len(light) - 1)
    out = np.zeros((q, q, light.shape[2]), np.int64)
    for y, x in np.ndindex(q, q):
        total = np.zeros(light.shape[2], np.int64)
        for m in homographies:
            u, v = (
                min(max(math.floor((c + margin) * 256.0 + 0.5), 0), last)
                for c in seen_at(m, x - RIM, y - RIM)
            )
            i, j = min(v >> 8, side - 2), min(u >> 8, side - 2)
            down, right = v - 256 * i, u - 256 * j
            total += light[i, j] * (256 - down) * (256 - right) + light[i, j + 1] * (256 - down) * right
            total += light[i + 1, j] * down * (256 - right) + light[i + 1, j + 1] * down * right
        unit = 65536 * len(homographies)
        out[y, x] = (total + unit // 2) // unit
    return out


def camera_triplet(
    pixels, labels, kernel, size, seed, sample, top, left, patch, camera, isolation="composite"
):
    """Return (clean, blurry, mask, isolated) of one sample (section 6); ``camera`` is that of the recipe."""
    radius, q = len(kernel) // 2, patch + 2 * RIM
    margin, side = radius + RIM, q + 2 * radius
    variance, gains, curve = drawn_for(seed, sample, camera["sensor"], camera["tone"])
    corner = top - margin, left - margin
    light = scene_light(pixels, *corner, side, curve, camera["clip_level"], seed, sample)
    if camera["motion"] == "rotation":
        poses = camera_path(seed, sample, camera["poses"], patch, size // 2, camera["focal_mm"])[-1]

    def moved(scene):
        if camera["motion"] == "rotation":
            return mean_of_poses(scene, poses, margin, q)
        return (blur(scene, kernel, radius, radius, q) + 16384) >> 15

    grain = None
    if camera["sensor"] != "none":
        grain = np.zeros((q, q), np.int64)
        for y, x in np.ndindex(q, q):
            e = y * q + x
            half = philox_block(seed, NOISE_STREAM, sample, e // 8)[e // 2 % 4] >> (16 * (e % 2)) & 0xFFFF
            grain[y, x] = normal_quantiles()[half]

    def picture(scene, noise):
        mosaic = np.array([[scene[y, x, colour_at(y, x)] for x in range(q)] for y in range(q)])
        return developed(exposed(mosaic, variance, gains, noise), camera["demosaic"], curve)

    middle = np.s_[radius : radius + q, radius : radius + q]
    sharp, blurred = light[middle], moved(light)
    rows = [mirrored(corner[0] + y, pixels.shape[0]) for y in range(side)]
    columns = [mirrored(corner[1] + x, pixels.shape[1]) for x in range(side)]
    kinds = labels[np.ix_(rows, columns)]
    isolated = []
    for members in CLASSES:
        m = np.isin(kinds, list(members))[..., None]
        if isolation == "composite":
            scene = np.where(m[middle], blurred, sharp)
        else:
            scene = moved(light * m) + (((8192 - moved(8192 * m.astype(np.int64))) * sharp + 4096) >> 13)
        isolated.append(picture(scene, grain))
    mask = labels[top : top + patch, left : left + patch]
    return picture(sharp, None), picture(blurred, grain), mask, np.array(isolated)


# --- Camera paths and kernels (FORMAT.md, section 1; the docstrings of blurgen.kernels.paths) ------------
# Python floats are IEEE doubles and Python never fuses operations, so these give the bits of the real ones.

TRAJECTORY_STREAM = 1
FIRST_STEP_BLOCK = 16
BLOCKS_PER_ATTEMPT = 2**24


class PathWords:
    """The random numbers of one attempt at one kernel."""

    def __init__(self, seed, number, attempt):
        self.seed, self.number, self.attempt = seed, number, attempt

    def block(self, b):
        return philox_block(self.seed, TRAJECTORY_STREAM, self.number, self.attempt * BLOCKS_PER_ATTEMPT + b)

    def low(self, b, lane):
        return normal_quantiles()[self.block(b)[lane] & 0xFFFF] / 32768

    def high(self, b, lane):
        return normal_quantiles()[self.block(b)[lane] >> 16] / 32768

    def uniform(self, b, lane):
        return self.block(b)[lane] / 2**32


def turned_back(angle):
    """Return cosine and sine of pi + angle by Taylor polynomials."""
    s = angle * angle
    cosine = sine = 1.0
    for denominator in (90.0, 56.0, 30.0, 12.0, 2.0):
        cosine = 1.0 - s / denominator * cosine
    for denominator in (110.0, 72.0, 42.0, 20.0, 6.0):
        sine = 1.0 - s / denominator * sine
    return -cosine, -(angle * sine)


def camera3d_path(seed, number, attempt, samples):
    """Return lists x, y, weight of all samples."""
    words = PathWords(seed, number, attempt)
    u = [words.low(0, 0), words.high(0, 0), words.low(0, 1)]
    inverse = 1.0 / math.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
    u = [c * inverse for c in u]
    unrest = 0.5 + 7.0 * words.uniform(0, 2)
    pull = 8.0 * words.uniform(0, 3)
    distance = 1.2 + 2.8 * words.uniform(1, 0)
    jerks = {}
    for i in range(3):
        if words.block(2 + 2 * i)[0] < int(0.15 * 2**32):
            step = 1 + int(words.uniform(2 + 2 * i, 1) * (samples - 1))
            across = [words.low(3 + 2 * i, 0), words.high(3 + 2 * i, 0), words.low(3 + 2 * i, 1)]
            jerks.setdefault(step, []).append((across, words.uniform(2 + 2 * i, 2) - 0.5))
    h = 1.0 / (samples - 1)
    keep = 1.0 - h / 0.06
    fresh = math.sqrt(1.0 - keep * keep)
    turn = unrest * (h / math.sqrt(2.0 * 0.06))
    p, f = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    x, y, weight = [], [], []
    for t in range(samples):
        if t > 0:
            for across, angle in jerks.get(t, []):
                along = across[0] * u[0] + across[1] * u[1] + across[2] * u[2]
                e = [a - along * c for a, c in zip(across, u, strict=True)]
                norm = math.sqrt(e[0] * e[0] + e[1] * e[1] + e[2] * e[2])
                cosine, sine = turned_back(angle)
                sine = sine / norm
                u = [c + 2.0 * (cosine * c + sine * d) for c, d in zip(u, e, strict=True)]
            b, lane = FIRST_STEP_BLOCK + (t - 1) // 2, 2 * ((t - 1) % 2)
            g = [words.low(b, lane), words.high(b, lane), words.low(b, lane + 1)]
            f = [keep * f[i] + fresh * g[i] for i in range(3)]
            u = [u[i] + (turn * f[i] - pull * h * p[i]) for i in range(3)]
            inverse = 1.0 / math.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
            u = [c * inverse for c in u]
            p = [p[i] + h * u[i] for i in range(3)]
        inverse = 1.0 / (distance + p[2])
        x.append(p[0] * inverse)
        y.append(p[1] * inverse)
        weight.append(inverse * inverse)
    return x, y, weight


def boracchi2d_path(seed, number, attempt, samples, anxiety=None):
    """Return lists x, y, weight of all samples; ``anxiety`` overrides the one that is drawn."""
    words = PathWords(seed, number, attempt)
    s = 64.0 / (samples - 1)
    vx, vy = words.low(0, 0), words.high(0, 0)
    scale = s / math.sqrt(vx * vx + vy * vy)
    vx, vy = vx * scale, vy * scale
    anxiety = 0.1 * words.uniform(1, 0) if anxiety is None else anxiety
    noise = anxiety * (10.0 * words.uniform(1, 1)) * s
    pull = anxiety * (0.7 * words.uniform(1, 2)) * s
    shake = 0.2 * words.uniform(1, 3) * anxiety
    px, py = 0.0, 0.0
    x, y = [px], [py]
    for t in range(1, samples):
        b, lane = FIRST_STEP_BLOCK + (t - 1) // 2, 2 * ((t - 1) % 2)
        chance = words.uniform(b, lane + 1)
        impulse_x = impulse_y = 0.0
        if chance < shake:
            cosine, sine = turned_back(chance / shake - 0.5)
            impulse_x = 2.0 * (cosine * vx - sine * vy)
            impulse_y = 2.0 * (sine * vx + cosine * vy)
        vx = (vx + impulse_x) + (noise * words.low(b, lane) - pull * px)
        vy = (vy + impulse_y) + (noise * words.high(b, lane) - pull * py)
        scale = s / math.sqrt(vx * vx + vy * vy)
        vx, vy = vx * scale, vy * scale
        px, py = px + vx, py + vy
        x.append(px)
        y.append(py)
    return x, y, [1.0] * samples


def linear_path(seed, number, attempt, samples):
    """Return lists x, y, weight of all samples."""
    words = PathWords(seed, number, attempt)
    ux, uy = words.low(0, 0), words.high(0, 0)
    inverse = 1.0 / math.sqrt(ux * ux + uy * uy)
    h = 1.0 / (samples - 1)
    x = [h * t * (ux * inverse) for t in range(samples)]
    y = [h * t * (uy * inverse) for t in range(samples)]
    return x, y, [1.0] * samples


def gaussian_process_path(seed, number, attempt, samples):
    """Return lists x, y, weight of all samples."""
    words = PathWords(seed, number, attempt)
    d = 2.23606797749979 / 0.3 / (samples - 1)
    a, c = matern52_transition(d), matern52_noise(d)

    def deviates(b):
        return [g for lane in range(3) for g in (words.low(b, lane), words.high(b, lane))]

    def start(g):
        return [g[0], math.sqrt(1.0 / 3.0) * g[1], math.sqrt(8.0 / 9.0) * g[2] - g[0] / 3.0]

    def step(f, g):
        return [
            a[0][0] * f[0] + a[0][1] * f[1] + a[0][2] * f[2] + c[0][0] * g[0],
            (a[1][0] * f[0] + a[1][1] * f[1] + a[1][2] * f[2]) + (c[1][0] * g[0] + c[1][1] * g[1]),
            (a[2][0] * f[0] + a[2][1] * f[1] + a[2][2] * f[2])
            + (c[2][0] * g[0] + c[2][1] * g[1] + c[2][2] * g[2]),
        ]

    g = deviates(0)
    horizontal, vertical = start(g[:3]), start(g[3:])
    x, y = [horizontal[0]], [vertical[0]]
    for t in range(1, samples):
        g = deviates(FIRST_STEP_BLOCK + t - 1)
        horizontal, vertical = step(horizontal, g[:3]), step(vertical, g[3:])
        x.append(horizontal[0])
        y.append(vertical[0])
    return x, y, [1.0] * samples


def matern52_transition(d):
    """Return exp(F d) as three rows; the exponential function by ten squarings of a polynomial."""
    e, small = 1.0, d / 1024.0
    for k in range(8, 0, -1):
        e = 1.0 - small / k * e
    for _ in range(10):
        e = e * e
    s = d * d / 2.0
    return [
        [e * (1.0 + d + s), e * (d + 2.0 * s), e * s],
        [e * -s, e * (1.0 + d - 2.0 * s), e * (d - s)],
        [e * (s - d), e * (2.0 * s - 3.0 * d), e * (1.0 - 2.0 * d + s)],
    ]


def matern52_noise(d):
    """Return the Cholesky factor of the covariance of the noise gathered in ``d``, as three rows."""
    nodes = (-0.906179845938664, -0.538469310105683, 0.0, 0.538469310105683, 0.906179845938664)
    weights = (0.236926885056189, 0.478628670499366, 0.568888888888889, 0.478628670499366, 0.236926885056189)
    q = [[0.0] * 3 for _ in range(3)]
    half = d / 16 / 2.0
    for panel in range(16):
        for node, weight in zip(nodes, weights, strict=True):
            b = [row[2] for row in matern52_transition(half * (2.0 * panel + 1.0 + node))]
            for i in range(3):
                for j in range(3):
                    q[i][j] += 16.0 / 3.0 * half * weight * b[i] * b[j]
    c = [[0.0] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(i + 1):
            rest = q[i][j]
            for k in range(j):
                rest = rest - c[i][k] * c[j][k]
            c[i][j] = math.sqrt(rest) if i == j else rest / c[j][j]
    return c


def matern52(r):
    """Return the covariance of a Matern 5/2 process of unit variance at distance ``r`` in length scales."""
    a = math.sqrt(5) * r
    return (1 + a + a * a / 3) * math.exp(-a)


def summed(values):
    """Return the plain sum from first to last; Python's own ``sum`` carries more digits from 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def kernel_of_path(x, y, weight, size, center):
    """Return a kernel [size, size] of whole numbers with sum 32768 (FORMAT.md, section 4)."""
    if center == "mass":
        total = summed(weight)
        cx = summed(w * a for w, a in zip(weight, x, strict=True)) / total
        cy = summed(w * b for w, b in zip(weight, y, strict=True)) / total
    else:
        cx, cy = (min(x) + max(x)) / 2, (min(y) + max(y)) / 2
    radius = (size - 1) / 2
    scale = radius / max(*(abs(a - cx) for a in x), *(abs(b - cy) for b in y))
    grid = [[0.0] * (size + 1) for _ in range(size + 1)]
    for a, b, w in zip(x, y, weight, strict=True):
        column_place = min(max((a - cx) * scale + radius, 0.0), 2 * radius)
        row_place = min(max((b - cy) * scale + radius, 0.0), 2 * radius)
        column, row = int(column_place), int(row_place)
        right, down = column_place - column, row_place - row
        grid[row][column] += w * (1.0 - down) * (1.0 - right)
        grid[row][column + 1] += w * (1.0 - down) * right
        grid[row + 1][column] += w * down * (1.0 - right)
        grid[row + 1][column + 1] += w * down * right
    return to_q15([row[:size] for row in grid[:size]])


def to_q15(weights):
    """Return whole numbers with sum 32768: rounded down, the rest to the largest fractional parts."""
    width = len(weights[0])
    flat = [float(w) for row in weights for w in row]
    total = summed(flat)
    exact = [w / total * 32768.0 for w in flat]
    whole = [int(v) for v in exact]
    by_fraction = sorted(range(len(flat)), key=lambda k: (whole[k] - exact[k], k))
    for k in by_fraction[: 32768 - sum(whole)]:
        whole[k] += 1
    return np.array(whole, np.int64).reshape(-1, width)


# --- Label maps made smaller or larger (docstring of blurgen.faces.crop.crop_labels) -------------------


def label_majority(labels, height, width):
    """The label map scaled to height x width: most of the pixels in each cell, the smaller of equals."""

    def cell(available, wanted, number):
        begin, end = number * 2 * available, (number + 1) * 2 * available
        inside = [i for i in range(available) if begin <= (2 * i + 1) * wanted < end]
        return inside or [(2 * number + 1) * available // (2 * wanted)]

    scaled = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            votes = {}
            for row in cell(labels.shape[0], height, y):
                for column in cell(labels.shape[1], width, x):
                    label = int(labels[row, column])
                    votes[label] = votes.get(label, 0) + 1
            scaled[y, x] = min(label for label, count in votes.items() if count == max(votes.values()))
    return scaled


# --- Noise of the drawn faces (the docstrings of blurgen.faces.procedural.noise) -----------------------


def hashed(ix, iy, salt):
    """Return a float in [0, 1) for whole numbers."""
    word = (ix * 0x8DA6B343) % 2**32 ^ (iy * 0xD8163841) % 2**32 ^ salt % 2**32
    word = ((word ^ word >> 15) * 0x2C1B3C6D) % 2**32
    word = ((word ^ word >> 12) * 0x297A2D39) % 2**32
    return (word ^ word >> 15) / 2**32


def value_noise(x, y, salt):
    """Return the corners' hashes, blended by 3 t^2 - 2 t^3 along rows, then between rows, as -1 .. 1."""
    column, row = math.floor(x), math.floor(y)
    across, down = (t * t * (3.0 - 2.0 * t) for t in (x - column, y - row))
    rows = []
    for below in (0, 1):
        left, right = (hashed(column + after, row + below, salt) for after in (0, 1))
        rows.append(left + (right - left) * across)
    return 2.0 * (rows[0] + (rows[1] - rows[0]) * down) - 1.0


def fractal_noise(x, y, octaves, salt):
    """Return the sum of octaves of value noise, each turned by a 3-4-5 triangle, half as wide and strong."""
    total = 0.0
    for octave in range(octaves):
        total += 0.55 * 0.5**octave * value_noise(x, y, salt + 101 * octave)
        x, y = 2.0 * (0.8 * x - 0.6 * y) + 17.3, 2.0 * (0.6 * x + 0.8 * y) + 5.7
    return total


# --- The similarity that fits points best (Umeyama, PAMI 1991, equations 38 to 43) ---------------------


def umeyama(source, target):
    """Return the matrix ``[2, 2]`` and the shift ``[2]`` of the best similarity, by singular values."""
    middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - target_middle).T @ (source - middle) / len(source)
    u, singular, v = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(v) > 0 else -1.0])
    turn = u @ np.diag(signs) @ v
    scale = (singular * signs).sum() / ((source - middle) ** 2).sum() * len(source)
    return scale * turn, target_middle - scale * turn @ middle


# --- Loss terms of the authors' released code (docs/training.md, "As the authors' code does it") --------


def gradient_difference(output, target):
    """Return the mean of ||a - b| - |c - d|| over neighbours across, plus that over neighbours down."""
    count, channels, height, width = output.shape
    across, down = [], []
    for n, c, y, x in np.ndindex(count, channels, height, width):
        if x + 1 < width:
            a, b = (abs(image[n, c, y, x] - image[n, c, y, x + 1]) for image in (output, target))
            across.append(abs(a - b))
        if y + 1 < height:
            a, b = (abs(image[n, c, y, x] - image[n, c, y + 1, x]) for image in (output, target))
            down.append(abs(a - b))
    return sum(across) / len(across) + sum(down) / len(down)


def halved(image):
    """Return the means of 2 x 2 pixels of images [N, C, H, W]; an odd last row or column is left out."""
    count, channels, height, width = image.shape
    half = np.zeros((count, channels, height // 2, width // 2))
    for n, c, y, x in np.ndindex(half.shape):
        half[n, c, y, x] = sum(image[n, c, 2 * y + i, 2 * x + j] for i in (0, 1) for j in (0, 1)) / 4
    return half


# --- The Wiener filter (umsn/nets/wiener.py) ------------------------------------------------------------


def wiener(picture, kernel, weight):
    """Return the filtered picture ``[H, W]``: the sums of the Fourier transforms written out, in float64."""
    height, width = picture.shape
    rows, columns = (-(-(side + 16) // 16) * 16 for side in (height, width))
    repeating = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            repeating[y, x] = _continued(picture, y, x, rows, columns)
    spectrum_of = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (rows, columns)]

    def transformed(image):
        return spectrum_of[0] @ image @ spectrum_of[1]

    def back(spectrum):
        return (spectrum_of[0].conj() @ spectrum @ spectrum_of[1].conj()).real / (rows * columns)

    placed, radius = np.zeros((rows, columns)), len(kernel) // 2
    for v in range(len(kernel)):
        for u in range(len(kernel)):
            placed[(v - radius) % rows, (u - radius) % columns] = kernel[v, u]
    transfer = transformed(placed)
    blurred = back(transformed(repeating) * transfer)
    tapered = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            inside = _inwards(y, height) * _inwards(x, width)
            tapered[y, x] = inside * repeating[y, x] + (1 - inside) * blurred[y, x]
    differences = np.zeros((rows, columns))
    differences[0, 0], differences[0, 1], differences[1, 0] = 4, -1, -1
    differences[0, -1], differences[-1, 0] = -1, -1
    power = np.abs(transfer) ** 2 + weight * transformed(differences).real
    return back(transformed(tapered) * transfer.conj() / power)[:height, :width]


def _continued(picture, y, x, rows, columns):
    """Return a pixel of the picture continued so that it repeats: columns are continued after rows."""

    def along_row(x):
        height = len(picture)
        if y < height:
            return picture[y, x]
        share = (y - height + 0.5) / (rows - height)
        last, first = picture[_mirror(y, height), x], picture[_mirror(y - rows, height), x]
        return (1 - share) * last + share * first

    width = picture.shape[1]
    if x < width:
        return along_row(x)
    share = (x - width + 0.5) / (columns - width)
    return (1 - share) * along_row(_mirror(x, width)) + share * along_row(_mirror(x - columns, width))


def _mirror(place, size):
    """Mirror at the border itself: the line at the border comes twice."""
    while not 0 <= place < size:
        place = -1 - place if place < 0 else 2 * size - 1 - place
    return place


def _inwards(place, size):
    return min(1, max(0, min(place + 1, size - place) / 15))


# --- Scores -------------------------------------------------------------------------------------------


def squared_error(restored, clean, shift, far):
    """Return the sum of squared differences where ``restored`` is moved by ``shift`` (rows, columns).

    A border of ``far`` pixels of ``clean`` does not count. Python's integers have no largest.
    """
    height, width, channels = clean.shape
    total = 0
    for y, x, c in np.ndindex(height - 2 * far, width - 2 * far, channels):
        total += (
            int(restored[y + far - shift[0], x + far - shift[1], c]) - int(clean[y + far, x + far, c])
        ) ** 2
    return total


def ssim(image, truth):
    """Return Wang et al. 2004, Eq. 13, mean over all 11 x 11 windows inside and over the channels."""
    weights = [
        [math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)
    ]
    total = sum(map(sum, weights))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top, left, c in np.ndindex(image.shape[0] - 10, image.shape[1] - 10, image.shape[2]):
        window = [
            (weights[i][j] / total, float(image[top + i, left + j, c]), float(truth[top + i, left + j, c]))
            for i in range(11)
            for j in range(11)
        ]
        x, y = sum(w * a for w, a, _ in window), sum(w * b for w, _, b in window)
        xx = sum(w * (a - x) ** 2 for w, a, _ in window)
        yy = sum(w * (b - y) ** 2 for w, _, b in window)
        xy = sum(w * (a - x) * (b - y) for w, a, b in window)
        values.append((2 * x * y + c1) * (2 * xy + c2) / ((x * x + y * y + c1) * (xx + yy + c2)))
    return sum(values) / len(values)
