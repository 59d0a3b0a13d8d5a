"""Pictures of every kind that files hold, and what other libraries make of them: pictures.py FOLDER.

Writes NAME.png or NAME.jpg with NAME.rgb, NAME.grey and NAME.rgba, the raw pixels by Pillow, opacity laid on white; and of one
picture linear.raw and warp.raw, by OpenCV. Prints a JSON object: sizes by file name.
"""

import json
import sys

import cv2
import numpy as np
from PIL import Image

folder = sys.argv[1]
rng = np.random.default_rng(1)
HEIGHT, WIDTH = 37, 53


def scene(channels):
    """Smooth shapes with some noise, so that JPEG keeps near it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [128 + 100 * np.sin(x / (5 + c) + c) * np.cos(y / (7 - c)) for c in range(channels)]
    return np.clip(np.stack(planes, -1) + rng.normal(0, 4, (HEIGHT, WIDTH, channels)), 0, 255).astype(np.uint8)


def kinds():
    colour = Image.fromarray(scene(3))
    opaque = Image.fromarray(scene(4), "RGBA")
    yield "rgb.png", colour, {}
    yield "rgba.png", opaque, {}
    yield "grey.png", Image.fromarray(scene(1)[..., 0]), {}
    yield "grey_alpha.png", Image.fromarray(scene(4)[..., :2], "LA"), {}
    yield "palette.png", colour.quantize(40), {}
    yield "palette_clear.png", colour.quantize(16), {"transparency": 3}
    yield "bits.png", colour.convert("1"), {}
    yield "grey16.png", Image.fromarray((scene(1)[..., 0].astype(np.uint16) * 257)), {}
    yield "rgb.jpg", colour, {"quality": 90}
    yield "progressive.jpg", colour, {"quality": 90, "progressive": True}
    yield "full.jpg", colour, {"quality": 95, "subsampling": 0}
    yield "grey.jpg", Image.fromarray(scene(1)[..., 0]), {"quality": 90}


def decoded(image):
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    rgba = np.asarray(image.convert("RGBA")).astype(np.int64)
    part = rgba[..., 3:]
    rgb = (rgba[..., :3] * part + 255 * (255 - part) + 127) // 255
    return rgb.astype(np.uint8), np.asarray(Image.fromarray(rgb.astype(np.uint8)).convert("L")), rgba.astype(np.uint8)


sizes = {}
for name, image, options in kinds():
    image.save(f"{folder}/{name}", **options)
    for suffix, pixels in zip(("rgb", "grey", "rgba"), decoded(Image.open(f"{folder}/{name}"))):
        pixels.tofile(f"{folder}/{name}.{suffix}")
    sizes[name] = [HEIGHT, WIDTH]

source = scene(3)
source.tofile(f"{folder}/source.raw")
for name, height, width in (("up", 80, 131), ("down", 20, 17)):
    cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR).tofile(f"{folder}/linear_{name}.raw")
cv2.resize(source, (19, 13), interpolation=cv2.INTER_AREA).tofile(f"{folder}/area.raw")
corners = np.array([[6, 4], [45, 9], [40, 33], [2, 27]], np.float32)
target = np.array([[0, 0], [40, 0], [40, 24], [0, 24]], np.float32)
cv2.warpPerspective(
    source, cv2.getPerspectiveTransform(corners, target), (40, 24), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
).tofile(f"{folder}/warp.raw")
print(json.dumps(sizes))
