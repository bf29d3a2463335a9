"""Draws examples/sketch.png: a sepia sketch of a young woman in a jacket on a balcony, before hills.

The hand is modelled, not the picture: every line is a tapered stroke that wavers, is gone over more than once and
starts or ends a little off; tone is hatching that follows the form and is then smudged. All places are in pixels of
a 512 x 512 sheet. Run: python scripts/draw_sketch.py [OUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from sketching import FINE, SHEET, Layer, curve, filled, resampled, smudged, tooth

PAPER = np.array([248, 243, 232]) / 255
LEAD = np.array([62, 44, 36]) / 255

# The woman: head three-quarters to the left, hair parted and falling to the shoulders, a jacket with lapels.
FACE = [(212, 152), (203, 172), (199, 190), (202, 205), (200, 222), (205, 246), (219, 271), (240, 288), (256, 290),
        (281, 277), (305, 250), (316, 222)]  # fmt: skip
HAIR_LEFT = [(246, 108), (218, 110), (194, 133), (183, 170), (180, 212), (178, 252), (172, 292), (162, 326), (168, 350)]
FRAME_LEFT = [
    (246, 128),
    (226, 139),
    (209, 158),
    (199, 186),
    (195, 218),
    (196, 252),
    (203, 288),
    (200, 324),
    (190, 350),
]
HAIR_RIGHT = [
    (246, 108),
    (287, 103),
    (324, 124),
    (343, 164),
    (349, 210),
    (352, 256),
    (362, 302),
    (366, 334),
    (350, 358),
]
FRAME_RIGHT = [
    (246, 128),
    (277, 135),
    (303, 157),
    (316, 188),
    (319, 222),
    (314, 256),
    (312, 292),
    (322, 326),
    (332, 352),
]
TORSO = [(216, 330), (180, 346), (142, 362), (114, 390), (100, 440), (92, 514), (436, 514), (428, 446), (414, 394),
         (388, 364), (346, 348), (304, 330)]  # fmt: skip
LAPEL_LEFT = [(223, 318), (199, 334), (184, 362), (207, 369), (200, 387), (226, 420), (253, 452)]
LAPEL_RIGHT = [(297, 316), (326, 334), (342, 363), (317, 370), (324, 388), (292, 424), (261, 454)]
OPEN_LEFT = [(223, 318), (229, 350), (240, 396), (255, 446)]
OPEN_RIGHT = [(297, 316), (290, 350), (276, 396), (259, 446)]
FOLDS = [
    [(150, 404), (168, 416), (190, 420)],
    [(148, 424), (164, 440), (180, 446)],
    [(376, 406), (358, 420), (340, 424)],
    [(380, 428), (362, 446), (346, 452)],
    [(122, 400), (116, 424), (118, 446)],
    [(406, 404), (412, 430), (408, 456)],
    [(236, 470), (216, 484), (204, 504)],
    [(112, 470), (122, 482), (134, 486)],
    [(396, 476), (410, 486), (424, 486)],
]


def construction(draw: Layer) -> None:
    """The first faint search for the pose: axes, the ovals of head and chest, the shoulders' slope."""
    turn = np.linspace(0.3, 2 * np.pi + 0.9, 80)
    for w, h, tilt in ((60, 94, 0.06), (63, 90, 0.02)):
        oval = np.stack([258 + w * np.cos(turn) + tilt * h * np.sin(turn), 197 + h * np.sin(turn)], -1)
        draw.line(oval, 0.9, 0.22, 1, 1.6)
    draw.line([(253, 84), (244, 190), (240, 262), (247, 330)], 0.8, 0.20, 1)
    draw.line([(186, 206), (250, 203), (330, 200)], 0.8, 0.20, 1, over=14)
    draw.line([(192, 244), (250, 243), (318, 240)], 0.8, 0.14, 1, over=10)
    draw.line([(92, 372), (180, 344), (262, 336), (350, 346), (440, 374)], 0.9, 0.20, 2, 2.2, 14)
    draw.line([(128, 384), (120, 440), (106, 512)], 0.9, 0.18, 1, 2.0, 10)
    draw.line([(404, 384), (418, 440), (424, 512)], 0.9, 0.18, 1, 2.0, 10)


def landscape(draw: Layer) -> None:
    far = [(70, 296), (104, 276), (136, 262), (160, 270), (186, 284)]
    draw.line(far, 1.4, 0.52)
    draw.line([(120, 274), (134, 284), (150, 288)], 1.0, 0.25, 1)
    draw.line([(346, 280), (372, 262), (398, 248), (420, 262), (452, 270)], 1.4, 0.52)
    draw.line([(398, 250), (404, 268), (418, 276)], 1.0, 0.25, 1)
    draw.hatch([(136, 264), (160, 272), (182, 288), (150, 294), (140, 282)], 58, 4.6, 1.3, 0.36)
    draw.hatch([(398, 252), (420, 264), (446, 274), (420, 290), (406, 280)], 58, 4.6, 1.3, 0.36)
    draw.line([(70, 312), (110, 304), (150, 312), (178, 318)], 1.5, 0.54)
    draw.line([(356, 318), (390, 304), (424, 300), (456, 306)], 1.5, 0.54)
    draw.line([(68, 340), (104, 332), (150, 342)], 1.4, 0.46)
    draw.line([(372, 340), (410, 330), (454, 338)], 1.4, 0.46)
    draw.hatch([(72, 344), (106, 336), (146, 346), (138, 360), (104, 372), (72, 372)], -8, 5.2, 1.4, 0.38)
    draw.hatch([(378, 346), (410, 334), (452, 342), (452, 372), (410, 372)], 8, 5.2, 1.4, 0.38)
    draw.line([(452, 318), (424, 322), (420, 330), (440, 338), (418, 350), (400, 366)], 1.3, 0.44, 1)
    for x, y, size in ((92, 316, 9), (108, 310, 7), (140, 318, 8), (386, 314, 8), (438, 306, 7), (372, 330, 10)):
        _tree(draw, x, y, size)
    tower = [(150, 306), (150, 284), (154, 278), (159, 284), (160, 306)]
    draw.line(np.array(tower, float), 1.1, 0.42, 2, 0.5)
    draw.line(np.array([(160, 296), (172, 292), (176, 297), (176, 308)], float), 1.0, 0.36, 1, 0.5)
    for cloud in ([(78, 120), (92, 104), (114, 106), (126, 92), (150, 102), (160, 116)],
                  [(372, 150), (386, 136), (408, 140), (424, 126), (446, 142)],
                  [(86, 190), (110, 180), (134, 190), (152, 186)]):  # fmt: skip
        draw.line(cloud, 1.2, 0.34, 1, 1.4)
        (left, top), (right, bottom) = cloud[0], cloud[-1]
        under = [(x, y + 3) for x, y in cloud]
        draw.hatch([*under, (right - 12, bottom + 16), (left, top + 12)], -24, 5.5, 1.2, 0.26)
    for x, y in ((402, 92), (418, 84), (390, 80)):
        draw.line([(x - 6, y - 2), (x - 2, y - 4), (x, y), (x + 3, y - 4), (x + 7, y - 3)], 1.2, 0.4, 1, 0.3, 0)


def _tree(draw: Layer, x: float, y: float, size: float) -> None:
    turn = np.linspace(0, 2.2 * np.pi, 50)
    rough = size * (1 + 0.16 * np.sin(5 * turn + x) + 0.08 * np.sin(9 * turn))
    draw.line(np.stack([x + rough * np.cos(turn), y - size + rough * np.sin(turn)], -1), 1.1, 0.42, 1, 0.6)
    draw.hatch([(x - size * 0.3, y - 0.3 * size), (x + size * 0.8, y - size * 1.3), (x + size * 0.9, y - size * 0.5),
                (x + size * 0.3, y - size * 0.1)], 50, 2.8, 1.3, 0.42)  # fmt: skip
    draw.line([(x, y), (x, y + 0.7 * size)], 1.3, 0.45, 1, 0.3, 1)


def balcony(draw: Layer) -> None:
    """Two columns and the parapet behind her."""
    for x, shade in ((20, 0.30), (452, 0.36)):
        w = 40
        for edge, weight in ((x, 1.4), (x + w, 1.8)):
            draw.line([(edge, -4), (edge + 0.6, 180), (edge, 352)], weight, 0.5, 2, 0.8)
        draw.hatch([(x + 22, -3), (x + w - 1, -3), (x + w - 1, 350), (x + 24, 350)], 68, 4.4, 1.3, shade)
        draw.hatch([(x + 31, -3), (x + w - 1, -3), (x + w - 1, 350), (x + 32, 350)], -52, 5.0, 1.2, shade)
        for y, out in ((352, 4), (360, 7), (370, 9), (380, 11)):
            draw.line([(x - out, y), (x + w / 2, y + 1.6), (x + w + out, y)], 1.3, 0.5, 2, 0.6)
        for side in (x - 8, x + w + 8):
            draw.line([(side + (3 if side < x else -3), 352), (side, 366), (side, 382)], 1.2, 0.45, 1, 0.4)
    for y, press in ((386, 0.5), (392, 0.3), (418, 0.36)):
        draw.line([(-4, y), (50, y + 0.6), (104, y)], 1.4, press, 2, 0.7)
        draw.line([(420, y), (470, y + 0.6), (516, y)], 1.4, press, 2, 0.7)
    draw.hatch([(-3, 394), (104, 394), (98, 417), (-3, 417)], 62, 6.0, 1.2, 0.22)
    draw.hatch([(422, 394), (515, 394), (515, 417), (430, 417)], 62, 5.0, 1.2, 0.30)
    draw.hatch([(-3, 420), (98, 420), (88, 515), (-3, 515)], 58, 9.0, 1.1, 0.14)
    draw.hatch([(430, 420), (515, 420), (515, 515), (438, 515)], 58, 7.0, 1.2, 0.20)


def hair_tone(draw: Layer) -> None:
    left = np.concatenate([curve(HAIR_LEFT), curve(FRAME_LEFT)[::-1]])
    right = np.concatenate([curve(HAIR_RIGHT), curve(FRAME_RIGHT)[::-1]])
    draw.hatch(left, 76, 2.9, 2.0, 0.46)
    draw.hatch(right, 98, 2.8, 2.0, 0.46)
    draw.hatch(right, 62, 4.4, 1.6, 0.28)
    draw.strands(HAIR_LEFT, FRAME_LEFT, 80, 1.6, 0.40, (0.5, 1.0))
    draw.strands(HAIR_RIGHT, FRAME_RIGHT, 95, 1.7, 0.42, (0.45, 1.0))
    draw.hatch([(200, 262), (204, 290), (222, 300), (226, 276), (212, 262)], 80, 2.6, 1.8, 0.5)
    draw.hatch([(292, 274), (316, 246), (318, 280), (314, 320), (298, 324)], 84, 2.6, 1.8, 0.5)
    draw.lift((207, 136), (8, 17), 0.60)
    draw.lift((304, 128), (22, 8), 0.55)
    draw.lift((337, 236), (6, 40), 0.38)


def jacket_tone(draw: Layer) -> None:
    draw.hatch(TORSO, 60, 3.4, 2.0, 0.50)
    draw.hatch(TORSO, 47, 4.6, 1.8, 0.38)
    shadow = [(346, 348), (388, 364), (414, 394), (428, 446), (436, 514), (330, 514), (352, 440), (356, 390)]
    draw.hatch(shadow, -32, 4.2, 1.6, 0.34)
    draw.hatch([(262, 452), (300, 424), (326, 392), (336, 440), (322, 514), (256, 514)], -30, 5.4, 1.5, 0.26)
    draw.hatch([(136, 432), (146, 412), (156, 440), (160, 514), (142, 514)], -50, 3.8, 1.6, 0.34)
    draw.hatch([(374, 430), (384, 412), (394, 440), (392, 514), (370, 514)], -50, 3.2, 1.8, 0.42)
    draw.hatch([(184, 364), (206, 372), (200, 388), (252, 454), (238, 452), (196, 400)], 20, 3.2, 1.5, 0.40)
    draw.hatch([(342, 366), (318, 373), (324, 390), (262, 456), (284, 450), (334, 400)], 20, 3.0, 1.5, 0.44)


def skin_tone(draw: Layer) -> None:
    """Light from the left: the far cheek, the throat, the eye sockets and what the hair shades are hatched."""
    cheek = [(298, 166), (315, 192), (317, 224), (304, 252), (281, 276), (260, 288), (276, 262), (292, 236), (294, 196)]
    draw.hatch(cheek, 62, 3.2, 1.5, 0.42, 0.04)
    draw.hatch([(306, 176), (317, 206), (311, 244), (288, 273), (298, 244), (304, 212)], -40, 3.4, 1.3, 0.36)
    draw.hatch([(226, 276), (242, 289), (258, 291), (284, 277), (293, 300), (292, 318), (260, 306), (232, 300)],
               70, 2.8, 1.7, 0.50)  # fmt: skip
    draw.hatch([(264, 300), (292, 300), (299, 330), (286, 354), (272, 336)], 58, 3.6, 1.5, 0.42)
    draw.hatch([(241, 196), (248, 198), (251, 218), (249, 234), (242, 222)], 66, 2.8, 1.2, 0.36)
    draw.hatch([(232, 245), (252, 244), (247, 253), (236, 253)], 20, 2.4, 1.3, 0.42)
    draw.hatch([(228, 271), (258, 270), (251, 278), (236, 278)], 12, 2.6, 1.2, 0.38)
    draw.hatch([(254, 191), (290, 191), (293, 200), (272, 196), (256, 202)], 28, 2.6, 1.2, 0.36)
    draw.hatch([(207, 194), (236, 193), (236, 204), (222, 197), (208, 201)], 28, 2.6, 1.2, 0.34)
    draw.hatch([(216, 152), (246, 131), (278, 139), (303, 162), (272, 150), (244, 144)], 32, 3.4, 1.3, 0.36)
    draw.hatch([(202, 212), (207, 238), (219, 264), (212, 262), (202, 240)], 60, 3.6, 1.1, 0.24)
    draw.hatch([(262, 222), (292, 220), (286, 244), (266, 246)], 50, 4.6, 1.0, 0.20)
    draw.hatch([(232, 358), (262, 364), (288, 358), (270, 412), (256, 444), (243, 400)], 64, 4.4, 1.4, 0.36)


def features(draw: Layer) -> None:
    for x, y, w, iris in ((221.5, 206, 11.0, 220.5), (271, 205, 13.5, 269)):
        draw.line(
            [(x - w, y + 1.5), (x - 0.5 * w, y - 4.2), (x + 0.2 * w, y - 5.0), (x + w, y + 1.0)], 2.3, 0.85, 2, 0.25, 1
        )
        draw.line([(x - 0.8 * w, y + 2.6), (x, y + 4.6), (x + 0.9 * w, y + 1.8)], 1.0, 0.42, 1, 0.25, 0)
        draw.line([(x - 0.9 * w, y - 4.5), (x, y - 9.0), (x + 0.95 * w, y - 4.0)], 1.0, 0.40, 1, 0.4, 0)
        turn = np.linspace(0.2, 2 * np.pi + 0.4, 24)
        draw.line(np.stack([iris + 4.4 * np.cos(turn), y - 0.6 + 4.5 * np.sin(turn)], -1), 1.3, 0.62, 1, 0.15, 0)
        draw.hatch(
            [(iris - 4, y - 4.5), (iris + 4, y - 4.5), (iris + 4, y + 0.5), (iris - 4, y + 0.5)], 75, 1.3, 1.3, 0.6
        )
        pupil = np.stack([iris + 1.6 * np.cos(turn), y - 0.4 + 1.7 * np.sin(turn)], -1)
        draw.line(pupil, 2.6, 0.9, 2, 0.1, 0)
        draw.lift((iris - 1.9, y - 2.4), (1.2, 1.2), 0.95)
    for base in ([(205, 192), (214, 186), (224, 185), (235, 189)], [(254, 190), (266, 184), (280, 184), (293, 192)]):
        draw.line(base, 1.8, 0.42, 3, 0.7, 1)
        brow = resampled(curve(base), 12)
        for x, y in brow[:-1]:
            draw.line([(x - 1.5, y + 1.4), (x + 2, y - 0.6), (x + 6, y - 0.9)], 1.2, 0.42, 1, 0.4, 1)
    draw.line([(237, 194), (234, 210), (230, 228), (229, 237), (233, 243)], 1.2, 0.46, 2, 0.4, 1)
    draw.line([(233, 243), (238, 244.5), (243, 243)], 1.6, 0.66, 1, 0.2, 0)
    draw.line([(243, 243), (249, 245), (253, 240), (251, 235)], 1.3, 0.55, 1, 0.3, 0)
    draw.line([(223, 260), (232, 260.5), (239, 259), (246, 260.8), (255, 260), (265, 258)], 1.8, 0.75, 2, 0.3, 1)
    draw.line(
        [(224, 259), (231, 255.5), (236, 254), (240, 255.5), (245, 254), (254, 256), (264, 258)], 1.1, 0.5, 1, 0.3, 0
    )
    draw.line([(231, 266), (240, 268.8), (251, 267), (257, 264)], 1.2, 0.46, 1, 0.3, 0)
    draw.hatch([(226, 259), (236, 255), (244, 255), (262, 258), (244, 260)], 65, 1.8, 1.1, 0.42)
    draw.hatch([(230, 261), (256, 261), (250, 267), (238, 267)], 72, 2.4, 1.0, 0.28)


def contours(draw: Layer) -> None:
    draw.line(FACE, 1.7, 0.62, 2, 0.7)
    draw.line(FACE[6:], 1.6, 0.50, 1, 0.9)
    for outline, weight in ((HAIR_LEFT, 1.8), (HAIR_RIGHT, 2.3)):
        draw.line(outline, weight, 0.62, 3, 1.6, 6)
    draw.line(FRAME_LEFT, 1.6, 0.55, 2, 0.9, 5)
    draw.line(FRAME_RIGHT, 2.0, 0.68, 2, 0.9, 5)
    draw.strands(HAIR_LEFT, FRAME_LEFT, 14, 1.6, 0.6)
    draw.strands(HAIR_RIGHT, FRAME_RIGHT, 22, 1.8, 0.66)
    for stray in ([(200, 124), (180, 148), (174, 186), (176, 220)], [(326, 122), (350, 156), (356, 196), (354, 232)],
                  [(212, 152), (206, 178), (205, 214), (209, 246)], [(360, 300), (374, 326), (372, 352)]):  # fmt: skip
        draw.line(stray, 0.9, 0.4, 1, 1.2, 6)
    draw.line([(227, 279), (227, 300), (224, 318)], 1.5, 0.55)
    draw.line([(291, 270), (291, 296), (297, 316)], 1.9, 0.65)
    draw.line([(262, 302), (254, 326), (248, 344)], 1.0, 0.30, 1)
    draw.line([(229, 350), (244, 356), (262, 357), (278, 354), (289, 350)], 1.3, 0.5)
    draw.line([(231, 358), (246, 363), (264, 364), (287, 357)], 1.0, 0.34, 1)
    for outline in (LAPEL_LEFT, LAPEL_RIGHT):
        draw.line(np.array(outline[:5], float), 2.0, 0.70, 2, 0.7)
        draw.line(outline[4:], 2.0, 0.70, 2, 0.7)
    draw.line(OPEN_LEFT, 1.8, 0.62)
    draw.line(OPEN_RIGHT, 2.1, 0.66)
    draw.line([(207, 369), (222, 364), (230, 356)], 1.4, 0.5)
    draw.line([(317, 370), (302, 364), (288, 356)], 1.4, 0.5)
    draw.line([(256, 446), (257, 480), (255, 516)], 1.9, 0.66)
    draw.line(TORSO[:6], 2.1, 0.68, 3, 1.3, 5)
    draw.line(TORSO[6:], 2.5, 0.74, 3, 1.3, 5)
    draw.line([(150, 402), (142, 432), (146, 472), (150, 516)], 1.8, 0.58)
    draw.line([(376, 402), (384, 432), (380, 474), (376, 516)], 2.0, 0.64)
    for fold in FOLDS:
        draw.line(fold, 1.6, 0.46, 1, 0.8)
    for y in (470, 500):
        turn = np.linspace(0, 2.3 * np.pi, 26)
        draw.line(np.stack([268 + 4.6 * np.cos(turn), y + 4.4 * np.sin(turn)], -1), 1.6, 0.7, 2, 0.3, 0)


def cleared(light: np.ndarray) -> np.ndarray:
    """The figure stands before her landscape: inside her outline the drawing beneath is rubbed out."""
    hair = np.concatenate([curve(HAIR_LEFT)[::-1], curve(HAIR_RIGHT)])
    body = filled(hair) | filled(curve(TORSO, closed=True))
    keep = ndimage.gaussian_filter(ndimage.zoom(body.astype(float), FINE, order=1), 1.5)
    return 1 - (1 - light) * (1 - 0.97 * np.clip(1.3 * keep, 0, 1))


def sketch(seed: int = 1483) -> Image.Image:
    """The whole drawing."""
    rng = np.random.default_rng(seed)
    behind, search, tone, skin, lines = (Layer(rng) for _ in range(5))
    landscape(behind)
    balcony(behind)
    construction(search)
    hair_tone(tone)
    jacket_tone(tone)
    skin_tone(skin)
    features(lines)
    contours(lines)

    light = cleared(smudged(behind.light, 0.35, 5)) * search.light
    light = light * smudged(tone.light, 0.5, 5) * smudged(skin.light, 0.45, 4) * smudged(lines.light, 0.12, 3)
    grain = tooth(rng)
    density = -np.log(np.clip(light, 0.06, 1))
    density = density * np.clip(1 + 0.40 * grain * np.exp(-0.7 * density), 0.25, 2)
    light = np.exp(-density)
    height, width = light.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    paper = PAPER * (1 + 0.008 * grain - 0.03 * (x * x + y * y) / 2)[..., None]
    picture = np.clip(LEAD + (paper - LEAD) * light[..., None], 0, 1)
    picture = picture.reshape(SHEET, FINE, SHEET, FINE, 3).mean((1, 3))
    return Image.fromarray((picture * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples" / "sketch.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    sketch().save(out, optimize=True)
    print(out)
