"""Who is drawn, how they stand and where: every number behind one face, drawn from stream ``face``.

Unit of length: the distance between the pupils. Colours are linear light, 0 to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blurgen.randomness.philox import Stream, words

_SCALARS = (
    # the picture and the pose
    "iod origin_x origin_y roll_cos roll_sin yaw_cos yaw_sin pitch_cos pitch_sin turn",
    # the key light's direction in the camera's frame, strengths, the tone of the picture
    "key_x key_y key_z key ambient fill exposure contrast vignette",
    # the head
    "skull_x skull_y face_x face_y face_ry jaw_taper chin_x chin_y chin_z socket brow_ridge cheek fold",
    "neck",
    # the nose
    "nose_y nose_z nose_out nose_wide nose_tip nose_wing",
    # eyes and brows
    "eye_y eye_half eye_up eye_low eye_tilt iris gaze_x gaze_y pupil lash crease makeup brow_y brow_inner",
    "brow_length brow_arch brow_tilt brow_thick brow_dense",
    # the mouth
    "mouth_y mouth_half mouth_open lip_up lip_low smile cupid teeth",
    # the skin
    "age pores freckles blush shine mole_x mole_y stubble beard beard_edge moustache",
    # hair
    "bald hair_side hair_top hair_front hairline temple part wave curl strand strand_depth hair_shine",
    "rough lean combed comb_cos comb_sin recede fringe fringe_jag sweep length curtain curtain_x sideburn",
    # what is worn
    "glasses glasses_half glasses_high glasses_round glasses_thick neckline cloth_kind cloth_scale",
    # what is behind
    "scene scene_scale scene_x scene_y scene_sharp scene_detail",
)
_COLOURS = (
    "light sky skin lip iris_colour iris_rim brow_colour hair_colour hair_tip frame cloth cloth_second",
    "scene_a scene_b scene_c",
)

PERSON = np.dtype(
    [(name, "f8") for name in " ".join(_SCALARS).split()]
    + [(name, "f8", (3,)) for name in " ".join(_COLOURS).split()]
    + [("salt", "i8")],
    align=True,
)
"""One face: float64 scalars and linear RGB colours, and the salt of all its noise."""

_SKIN = ((250, 220, 200), (240, 200, 172), (226, 178, 142), (196, 142, 104), (142, 94, 64), (92, 58, 42))
_HAIR = (
    ((20, 16, 15), (44, 34, 30)),
    ((38, 26, 20), (76, 54, 40)),
    ((70, 46, 30), (120, 84, 56)),
    ((112, 52, 26), (172, 92, 48)),
    ((150, 112, 68), (206, 170, 116)),
    ((190, 156, 104), (236, 212, 164)),
    ((110, 110, 112), (168, 168, 170)),
    ((190, 188, 186), (232, 230, 226)),
)
_IRIS = ((58, 34, 20), (92, 58, 28), (112, 98, 48), (84, 112, 78), (86, 124, 158), (120, 140, 150))


class _Dice:
    """Random numbers of one face, in a fixed order."""

    def __init__(self, number: int, seed: int) -> None:
        self._words = words(seed, Stream.FACE, number, 512)
        self._next = 0

    def word(self) -> int:
        self._next += 1
        return int(self._words[self._next - 1])

    def unit(self) -> float:
        return self.word() / 4294967296.0

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def around(self, middle: float, spread: float) -> float:
        """A bell-shaped number within ``spread`` of ``middle``."""
        return middle + spread * ((self.unit() + self.unit() + self.unit()) / 1.5 - 1.0)

    def chance(self, probability: float) -> bool:
        return self.unit() < probability

    def colour(self, low: float, high: float, vivid: float) -> tuple[float, ...]:
        """An sRGB colour of some brightness, up to ``vivid`` away from grey."""
        grey = self.between(low, high)
        return tuple(max(grey + self.between(-vivid, vivid), 0.01 * high) for _ in range(3))


def _linear(colour: Any) -> tuple[float, ...]:
    """sRGB 0..255 to linear light, with the square as transfer curve."""
    return tuple((c / 255.0) * (c / 255.0) for c in colour)


def _between_colours(a: Any, b: Any, t: float) -> tuple[float, ...]:
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))


def _turn(t: float) -> tuple[float, float]:
    """Cosine and sine of an angle of about 2 t, exactly on the unit circle up to rounding."""
    return (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)


def draw_person(number: int, seed: int) -> Any:
    """Return the parameters of face ``number`` of ``seed`` as one record of ``PERSON``."""
    p = np.zeros(1, PERSON)[0]
    dice = _Dice(number, seed)
    p["salt"] = dice.word() >> 1
    _pose(p, dice)
    _light(p, dice)
    female = dice.chance(0.55)
    p["age"] = dice.unit() * dice.unit()
    _head(p, dice, female)
    dark = dice.unit()
    _skin(p, dice, dark)
    _mouth(p, dice, female)
    _eyes(p, dice, female)
    bald = _hair(p, dice, female, dark)
    _beard(p, dice, female, bald)
    _worn(p, dice)
    _scene(p, dice)
    return p


def _pose(p: Any, dice: _Dice) -> None:
    p["iod"] = dice.between(0.19, 0.235)
    p["origin_x"] = 0.5 + dice.around(0.0, 0.03)
    p["origin_y"] = 0.49 + dice.around(0.0, 0.03)
    p["roll_cos"], p["roll_sin"] = _turn(dice.around(0.0, 0.09))
    turn = dice.around(0.0, 0.26)
    p["turn"] = turn
    p["yaw_cos"], p["yaw_sin"] = _turn(turn)
    p["pitch_cos"], p["pitch_sin"] = _turn(dice.around(0.0, 0.1))


def _light(p: Any, dice: _Dice) -> None:
    x = dice.between(-0.9, 0.9)
    y = dice.between(-0.95, 0.05)
    z = dice.between(0.55, 1.1)
    length = float(np.sqrt(x * x + y * y + z * z))
    p["key_x"], p["key_y"], p["key_z"] = x / length, y / length, z / length
    hard = dice.unit()
    p["key"] = 0.62 + 0.55 * hard
    p["ambient"] = 0.5 - 0.27 * hard
    p["fill"] = dice.between(0.05, 0.3)
    p["exposure"] = dice.between(0.6, 1.0)
    p["contrast"] = dice.between(0.0, 0.5)
    p["vignette"] = dice.between(0.0, 0.35)
    warm = dice.around(0.0, 0.12)
    p["light"] = (1.0 + warm, 1.0 + 0.15 * warm, 1.0 - warm)
    cool = dice.around(-0.04, 0.12)
    p["sky"] = (1.0 + cool, 1.0, 1.0 - cool)


def _head(p: Any, dice: _Dice, female: bool) -> None:
    p["skull_x"] = dice.around(1.17, 0.06)
    p["skull_y"] = dice.around(1.3, 0.06)
    p["face_x"] = dice.around(1.03 if female else 1.07, 0.09)
    p["face_y"] = 0.5
    chin = dice.around(1.74 if female else 1.84, 0.13)
    p["face_ry"] = chin - 0.47
    p["jaw_taper"] = dice.around(0.27 if female else 0.17, 0.12)
    p["chin_x"] = dice.around(0.27 if female else 0.36, 0.08)
    p["chin_y"] = chin + 0.03
    p["chin_z"] = dice.around(0.6, 0.06)
    p["socket"] = dice.around(0.12 if female else 0.15, 0.05)
    p["brow_ridge"] = dice.around(0.03 if female else 0.07, 0.025)
    p["cheek"] = dice.around(0.09, 0.05)
    p["nose_y"] = dice.around(0.72, 0.07)
    p["nose_z"] = dice.around(1.06, 0.02)
    p["nose_out"] = dice.around(0.36 if female else 0.42, 0.08)
    p["nose_wide"] = dice.around(1.0 if female else 1.15, 0.25)
    p["nose_tip"] = dice.around(0.145 if female else 0.17, 0.025)
    p["nose_wing"] = dice.around(0.15 if female else 0.19, 0.035)
    p["neck"] = dice.around(0.68 if female else 0.84, 0.06)


def _skin(p: Any, dice: _Dice, dark: float) -> None:
    place = dark * (len(_SKIN) - 1)
    below = int(place)
    tone = _between_colours(_SKIN[below], _SKIN[below + 1], place - below)
    pink = dice.around(0.0, 7.0)
    skin = (tone[0] + 0.3 * pink, tone[1] - 0.5 * pink, tone[2] - 0.2 * pink + dice.around(0.0, 5.0))
    p["skin"] = _linear(skin)
    p["pores"] = dice.between(0.03, 0.12)
    p["freckles"] = dice.between(0.3, 0.8) * (1.0 - dark) if dice.chance(0.25) else 0.0
    p["blush"] = dice.between(0.0, 0.5) * (1.0 - 0.5 * dark)
    p["shine"] = dice.between(0.05, 0.32)
    p["mole_x"], p["mole_y"] = dice.between(-0.9, 0.9), dice.between(0.2, 1.5)
    p["fold"] = 0.006 + 0.04 * float(p["age"]) + dice.between(0.0, 0.012)


def _mouth(p: Any, dice: _Dice, female: bool) -> None:
    p["smile"] = dice.between(-0.25, 1.0)
    opened = dice.chance(0.68)
    gap = dice.between(0.05, 0.14) if dice.chance(0.75) else dice.between(0.14, 0.34)
    p["mouth_open"] = gap if opened else 0.0
    p["mouth_y"] = float(p["nose_y"]) + dice.around(0.42, 0.05)
    p["mouth_half"] = dice.around(0.4, 0.05) + 0.08 * max(float(p["smile"]), 0.0)
    p["lip_up"] = dice.around(0.1, 0.04) - 0.025 * max(float(p["smile"]), 0.0)
    p["lip_low"] = dice.around(0.15, 0.05) - 0.03 * max(float(p["smile"]), 0.0)
    p["cupid"] = dice.between(0.1, 0.45)
    p["teeth"] = dice.between(0.7, 1.1)
    drop = 0.55 * float(p["mouth_open"])
    p["chin_y"] += drop
    p["face_ry"] += drop
    skin = p["skin"]
    red = dice.between(0.25, 0.65)
    natural = (skin[0] * 0.78, skin[1] * 0.46, skin[2] * 0.5)
    lip = _between_colours(skin, natural, 0.6 + 0.4 * red)
    if female and dice.chance(0.5):
        stick = _linear((dice.between(130, 205), dice.between(20, 80), dice.between(40, 95)))
        lip = _between_colours(lip, stick, dice.between(0.3, 0.9))
    p["lip"] = lip


def _eyes(p: Any, dice: _Dice, female: bool) -> None:
    p["eye_y"] = 0.0
    p["eye_half"] = dice.around(0.25, 0.025)
    wide = dice.around(0.12 if female else 0.105, 0.035) - 0.015 * max(float(p["smile"]), 0.0)
    p["eye_up"] = wide
    p["eye_low"] = dice.around(0.065, 0.018) - 0.015 * max(float(p["smile"]), 0.0)
    p["eye_tilt"] = dice.around(-0.02, 0.04)
    p["iris"] = dice.around(0.103, 0.008)
    p["gaze_x"] = dice.around(0.0, 0.07) - 0.1 * float(p["turn"])
    p["gaze_y"] = dice.around(-0.012, 0.025)
    p["pupil"] = dice.between(0.32, 0.55)
    p["lash"] = dice.between(0.5, 1.0) if female else dice.between(0.15, 0.5)
    p["crease"] = dice.between(0.05, 0.1)
    p["makeup"] = dice.between(0.1, 0.6) if female and dice.chance(0.45) else 0.0
    p["brow_y"] = -dice.around(0.34 if female else 0.3, 0.05)
    p["brow_inner"] = dice.around(0.19, 0.05)
    p["brow_length"] = dice.around(0.62, 0.07)
    p["brow_arch"] = dice.around(0.08 if female else 0.05, 0.05)
    p["brow_tilt"] = dice.around(0.0, 0.06)
    p["brow_thick"] = dice.around(0.045 if female else 0.065, 0.015)
    p["brow_dense"] = dice.between(0.7, 1.0)


def _hair(p: Any, dice: _Dice, female: bool, dark: float) -> bool:
    """Hair and brow colour, style; tells whether the head is bald."""
    age = float(p["age"])
    if dice.chance(max(age * 1.3 - 0.25, 0.0)):
        kind = 6 + int(dice.chance(0.4))
    elif dice.chance(0.35 + 0.6 * dark):
        kind = int(dice.chance(0.4))
    else:
        kind = 1 + int(5 * dice.unit())
    base: tuple[float, ...]
    tip: tuple[float, ...]
    base, tip = _HAIR[kind]
    if dice.chance(0.03):
        base = dice.colour(60, 160, 90)
        tip = tuple(min(c * 1.3, 250.0) for c in base)
    lighter = dice.between(0.8, 1.15)
    p["hair_colour"] = _linear(tuple(min(c * lighter, 245.0) for c in base))
    p["hair_tip"] = _linear(tuple(min(c * lighter, 250.0) for c in tip))
    brow = _between_colours(base, (30, 22, 18), 0.45)
    p["brow_colour"] = _linear(brow)
    place = dice.unit() * (1.0 - 0.6 * dark) * (len(_IRIS) - 1) if dark < 0.75 else dice.between(0.0, 0.8)
    iris = _between_colours(_IRIS[int(place)], _IRIS[int(place) + 1], place - int(place))
    p["iris_colour"] = _linear(iris)
    p["iris_rim"] = _linear(tuple(0.45 * c for c in iris))

    bald = not female and dice.chance(0.09)
    p["bald"] = 1.0 if bald else 0.0
    long = dice.chance(0.72) if female else dice.chance(0.08)
    p["hair_side"] = dice.between(0.1, 0.24) if long else dice.between(0.02, 0.07)
    p["hair_top"] = dice.between(0.1, 0.26) if long else dice.between(0.05, 0.34)
    p["hair_front"] = dice.between(0.08, 0.14) if long else dice.between(0.07, 0.16)
    p["hairline"] = -dice.around(1.14 if female else 1.16, 0.12) - (0.0 if female else 0.16 * age)
    p["temple"] = dice.around(0.96, 0.06)
    p["part"] = dice.around(0.0, 0.7)
    p["wave"] = dice.between(0.0, 0.12) if dice.chance(0.6) else dice.between(0.1, 0.3)
    p["curl"] = dice.between(0.5, 1.0) if dice.chance(0.1 + 0.3 * (dark > 0.75)) else 0.0
    p["strand"] = dice.between(14.0, 26.0)
    p["strand_depth"] = dice.between(0.35, 0.7)
    p["hair_shine"] = dice.between(0.2, 1.0)
    p["fringe"] = (
        dice.between(0.3, 0.72) if dice.chance(0.35 if female else 0.25) else dice.between(0.0, 0.12)
    )
    p["fringe_jag"] = dice.between(0.08, 0.3)
    p["sweep"] = dice.around(0.0, 0.45) * (0.3 + float(p["fringe"]))
    p["rough"] = 0.05 if long else dice.between(0.05, 0.2)
    p["lean"] = 0.06 * float(p["part"])
    p["combed"] = 0.0 if long else float(dice.chance(0.6))
    p["comb_cos"], p["comb_sin"] = _turn(dice.between(-0.55, 0.55))
    p["recede"] = dice.between(0.0, 0.12) + (0.0 if female else 0.25 * age)
    p["length"] = dice.between(1.0, 3.2) if long else 0.0
    p["curtain"] = dice.between(0.3, 0.55)
    p["curtain_x"] = dice.between(1.04, 1.18)
    p["sideburn"] = dice.between(0.0, 0.5)
    return bald


def _beard(p: Any, dice: _Dice, female: bool, bald: bool) -> None:
    if female:
        return
    kind = dice.unit() + (0.15 if bald else 0.0)
    if kind > 0.45:
        p["stubble"] = dice.between(0.1, 0.6)
    if kind > 0.72:
        p["beard"] = dice.between(0.45, 0.95)
    if kind > 0.65:
        p["moustache"] = dice.between(0.4, 0.95)
    p["beard_edge"] = dice.between(0.5, 0.95)


def _worn(p: Any, dice: _Dice) -> None:
    if dice.chance(0.17):
        p["glasses"] = 1.0
    p["glasses_half"] = dice.between(0.34, 0.42)
    p["glasses_high"] = dice.between(0.22, 0.34)
    p["glasses_round"] = dice.between(0.1, 1.0)
    p["glasses_thick"] = dice.between(0.016, 0.045)
    p["frame"] = _linear(dice.colour(12, 60, 14) if dice.chance(0.7) else dice.colour(60, 180, 60))
    p["neckline"] = dice.between(0.0, 1.0)
    p["cloth_kind"] = float(int(4 * dice.unit()))
    p["cloth_scale"] = dice.between(3.0, 10.0)
    p["cloth"] = _linear(dice.colour(20, 225, 50))
    p["cloth_second"] = _linear(dice.colour(20, 225, 50))


def _scene(p: Any, dice: _Dice) -> None:
    p["scene"] = float(int(7 * dice.unit()))
    p["scene_scale"] = dice.between(0.6, 1.6)
    p["scene_x"], p["scene_y"] = dice.between(0.0, 64.0), dice.between(0.0, 64.0)
    p["scene_sharp"] = dice.unit() * dice.unit()
    p["scene_detail"] = dice.between(0.1, 0.5)
    bright = dice.between(45, 245)
    tint = dice.colour(0.5, 1.0, 0.3 * dice.unit())
    vivid = 6.0 + 50.0 * dice.unit() * dice.unit()
    for name, low, high in (("scene_a", 0.35, 0.9), ("scene_b", 0.3, 1.4), ("scene_c", 0.5, 1.9)):
        own = dice.colour(low * bright, high * bright, vivid)
        p[name] = _linear(tuple(min(c * (0.45 + 0.7 * t), 250.0) for c, t in zip(own, tint, strict=True)))
