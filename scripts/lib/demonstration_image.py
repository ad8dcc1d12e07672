#!/usr/bin/env python3
"""Draws assets/image.jpg, the image of the examples: hills behind hills at dusk, 1600 x 1067. Needs pillow and numpy.

    scripts/lib/demonstration_image.py assets/image.jpg
"""
import sys

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 1600, 1067
random = np.random.default_rng(1)


def ridge(base, rough, detail):
    """The height of a row of hills at each column: waves of falling size."""
    x = np.linspace(0, 1, WIDTH)
    line = np.zeros(WIDTH)
    for octave in range(detail):
        line += np.sin(2 * np.pi * (x * 1.7 * 2**octave + random.random())) * rough / 1.9**octave
    return base + line


def mixed(one, other, share):
    return np.array(one) * (1 - share) + np.array(other) * share


y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
down = (y / HEIGHT)[..., None]
image = mixed((38, 46, 110), (250, 170, 110), np.clip(down * 1.5, 0, 1))
far = np.hypot(x - 1130, y - 480)
image += np.exp(-(far / 260) ** 2)[..., None] * np.array((70, 60, 10))
image[far < 62] = (255, 244, 214)
clouds = sum(np.sin(x / (190 / 1.8**k) + 3 * k + np.sin(y / (60 / 1.5**k) + k)) / 1.6**k for k in range(6))
image += (np.clip(clouds - 0.6, 0, 1) * np.clip(1 - y / 560, 0, 1))[..., None] * np.array((60, 34, 40))
for step in range(7):
    line = ridge(560 + step * 68, 58 - step * 4, 7)
    near = step / 6
    color = mixed((205, 128, 128), (22, 40, 46), near**0.8)
    below = y > line[None, :]
    haze = np.clip((y - line[None, :]) / 150, 0, 1)[..., None]
    shade = color + haze * (color - mixed((240, 170, 130), color, 0.4)) * -0.35
    image = np.where(below[..., None], shade, image)
image += random.normal(0, 1.6, (HEIGHT, WIDTH, 1))
image = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
image.save(sys.argv[1], quality=84, optimize=True, progressive=False, subsampling="4:2:0")
