"""Renders pages of text and prints what the package rapidocr-onnxruntime reads on them: ocr_pages.py FOLDER COUNT.

The first COUNT pages are FOLDER/NAME.png or .jpg. A JSON array of {path, lines: [{box, text, score}]}.
"""

import json
import sys

from PIL import Image, ImageDraw, ImageFont
from rapidocr_onnxruntime import RapidOCR

folder = sys.argv[1]


def page(name, lines, size, height, angle=0, background="white", ink="black"):
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        draw.text((30, 20 + int(i * height * 1.7)), line, font=ImageFont.load_default(height), fill=ink)
    if angle:
        image = image.rotate(angle, expand=True, fillcolor=background, resample=Image.BICUBIC)
    image.save(f"{folder}/{name}")


def clear(name):
    """Black ink on nothing."""
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((20, 30), "Transparent", font=ImageFont.load_default(48), fill=(0, 0, 0, 255))
    image.save(f"{folder}/{name}")


PAGES = {
    "invoice.jpg": lambda name: page(
        name,
        ["Tidepool serves models", "INVOICE No. 2026-1128", "Date: 28 November 2026", "Item            Qty   Price",
         "Oysters          12   36.00", "Total: $1,234.56 (VAT 20%)"],
        (800, 740), 38, background=(250, 245, 230), ink=(20, 20, 90),
    ),
    "tilted.png": lambda name: page(name, ["Rotated by ten degrees", "still a readable line"], (640, 640), 40, angle=10),
    "head.png": lambda name: page(name, ["Upside down text here", "second line of it"], (600, 600), 40, angle=180),
    "upright.png": lambda name: page(name, ["Vertical text line"], (500, 500), 40, angle=90),
    "clear.png": clear,
    "blank.png": lambda name: page(name, [], (200, 100), 32),
    "small.png": lambda name: page(name, ["tiny"], (60, 28), 14),
    "plain.png": lambda name: page(name, ["The quick brown fox jumps", "over 13 lazy dogs."], (640, 240), 32),
    "banner.png": lambda name: page(name, ["A flat line of text: 0123456789"], (640, 70), 36),
    "large.jpg": lambda name: page(name, [f"Line {i} of a large page" for i in range(8)], (2300, 1200), 60),
}

reader = RapidOCR(intra_op_num_threads=1)
answers = []
for name in list(PAGES)[: int(sys.argv[2])]:
    PAGES[name](name)
    with open(f"{folder}/{name}", "rb") as file:
        found, _ = reader(file.read())
    lines = [{"box": box, "text": text, "score": score} for box, text, score in found or []]
    answers.append({"path": f"{folder}/{name}", "lines": lines})
print(json.dumps(answers))
