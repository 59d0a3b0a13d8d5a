-- Writes seeds/image: small pictures that between them use what the decoders read, by Pillow (build/venv).
--   luajit spec/fuzz/seeds_image.lua
local make = [[
import os, sys
from PIL import Image
folder = "spec/fuzz/seeds/image"
os.makedirs(folder, exist_ok=True)
colour = Image.new("RGB", (9, 7))
colour.putdata([(x * 25, y * 30, (x * y * 9) % 256) for y in range(7) for x in range(9)])
def save(name, image, **options):
    image.save(folder + "/" + name, **options)
save("rgb.png", colour)
save("alpha.png", colour.convert("RGBA"))
save("palette.png", colour.quantize(8), transparency=2)
save("grey16.png", Image.new("I;16", (4, 4), 999))
save("bits.png", colour.convert("1"))
save("rgb.jpg", colour, quality=60)
save("grey.jpg", colour.convert("L"), quality=60)
save("progressive.jpg", colour, quality=60, progressive=True)
save("restart.jpg", colour, quality=60, restart_marker_blocks=1)
]]
assert(os.execute("build/venv/bin/python -c '" .. make .. "'") == 0)
