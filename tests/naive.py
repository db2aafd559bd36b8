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
    return quantised([row[:size] for row in grid[:size]])


def quantised(weights):
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
