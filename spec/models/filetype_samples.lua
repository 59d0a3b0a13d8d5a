--- Files of many kinds for the filetype specs: made here, and found in the checkout and the system.
local samples = {}

local lines = table.concat({
  "name,count,price", "apple,3,0.5", "pear,12,1.25", "plum,7,0.1", "quince,1,2.0", "grape,400,0.02",
}, "\n")

-- Contents by file name; the edges of what the model is asked about are among them.
local made = {
  ["empty"] = "",
  ["one_byte"] = "x",
  ["seven_bytes"] = "abcdefg",
  ["eight_bytes"] = "abcdefgh",
  ["few_not_utf8"] = "\255\254\1",
  ["few_utf8"] = "h\195\169",
  ["white_space"] = (" \t\r\n\v\f"):rep(100),
  ["white_space_and_seven"] = (" \n"):rep(300) .. "abcdefg" .. (" "):rep(300),
  ["white_space_and_eight"] = (" \n"):rep(300) .. "abcdefgh" .. (" "):rep(300),
  ["white_space_first_block"] = (" "):rep(5000) .. "int main(void) { return 0; }\n",
  ["white_space_cut_utf8"] = (" "):rep(4095) .. "\195\169",
  ["white_space_surrogate"] = (" "):rep(10) .. "\237\160\128",
  ["white_space_overlong"] = (" "):rep(10) .. "\224\128\128",
  ["white_space_last_plane"] = (" "):rep(10) .. "\244\143\191\191",
  ["white_space_beyond_last_plane"] = (" "):rep(10) .. "\244\144\128\128",
  ["nul_bytes"] = ("\0"):rep(3000),
  ["block"] = ("0123456789abcdef"):rep(256),
  ["block_and_one"] = ("0123456789abcdef"):rep(256) .. "\n",
  ["table.csv"] = lines,
  ["data.json"] = '{"name": "tide", "list": [1, 2, 3], "nested": {"yes": true, "no": null}}\n',
  ["script.sh"] = "#!/bin/sh\nset -e\nfor file in *.txt; do\n  echo \"$file\"\n  wc -l < \"$file\"\ndone\n",
  ["page.html"] = "<!doctype html>\n<html><head><title>Tide</title></head><body><p>Pool</p></body></html>\n",
  ["notes.md"] = "# Tide\n\nA list:\n\n- one\n- two\n\n```lua\nprint 'x'\n```\n\nSee [here](https://example.org).\n",
  ["program.py"] = "import sys\n\n\ndef main():\n    for line in sys.stdin:\n        print(line.strip())\n\n\n"
    .. "if __name__ == '__main__':\n    main()\n",
  ["config.yaml"] = "name: tide\nlist:\n  - one\n  - two\nnested:\n  key: value\n  other: 3\n",
  ["document.pdf"] = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages "
    .. "/Kids [] /Count 0 >>\nendobj\nxref\n0 3\n0000000000 65535 f \ntrailer\n<< /Size 3 /Root 1 0 R >>\n"
    .. "startxref\n110\n%%EOF\n",
}

-- Those of these that exist.
local found = {
  "core/main.c", "lua/tidepool/cli/init.lua", "CMakeLists.txt", "CMakePresets.json", "Makefile", "LICENSE",
  "cmake/setup.sh", "spec/models/filetype_reference.py", "/bin/ls", "/usr/share/common-licenses/GPL-3",
  "/usr/share/dict/words", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/share/perl5/Debconf/Db.pm",
  "/usr/share/doc/bash/changelog.Debian.gz", "/usr/share/info/dir", "/etc/passwd", "/usr/include/stdio.h",
  "/usr/share/pixmaps/debian-logo.png", "/usr/share/zoneinfo/Europe/Paris", "/var/lib/dpkg/status",
  "build/models/filetype/filetype.onnx",
}

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- A PNG of 8 by 8 grey pixels, a tar, a gzip and a zip, by Python's libraries.
local make_binary = [[
import gzip, os, struct, sys, tarfile, zipfile, zlib
folder = sys.argv[1]
def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
with open(folder + "/image.png", "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(range(row, row + 8)) for row in range(8))))
        + chunk(b"IEND", b""))
text = folder + "/table.csv"
with gzip.open(folder + "/table.csv.gz", "wb") as file:
    file.write(open(text, "rb").read() * 50)
with tarfile.open(folder + "/table.tar", "w") as file:
    file.add(text, "table.csv")
with zipfile.ZipFile(folder + "/table.zip", "w") as file:
    file.write(text, "table.csv")
]]

--- Make the files in the folder; the paths of all samples.
function samples.make(folder)
  local paths = {}
  for name, content in pairs(made) do
    local path = folder .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
    paths[#paths + 1] = path
  end
  assert(os.execute(("python3 -c '%s' %s"):format(make_binary, folder)) == 0, "python3 makes no samples")
  for _, name in ipairs { "image.png", "table.csv.gz", "table.tar", "table.zip" } do
    paths[#paths + 1] = folder .. "/" .. name
  end
  for _, path in ipairs(found) do
    if exists(path) then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

return samples
