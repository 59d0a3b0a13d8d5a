-- Values that Lua has no type of its own for: null, bytes that go out as bin, extensions, and tables that are arrays or
-- maps whatever their keys.
local misuse = require "tidepool.misuse"
local shown = require "tidepool.shown"

local getmetatable, setmetatable, type = getmetatable, setmetatable, type

local M = {}

-- Nesting that encode and decode accept.
M.DEPTH_MAX = 128

M.null = setmetatable({}, {
  __tostring = function() return "null" end,
  __newindex = function() error "msgpack.null cannot hold anything" end,
})

-- What their metatables are.
local Bin = { __tostring = function(self) return self[1] end, __len = function(self) return #self[1] end }
local Ext = {}
local Map = {}
local Array = {}

-- The bytes of s, to go out as bin.
function M.bin(s)
  if type(s) ~= "string" then misuse("bin: takes a string, not %s", shown(s)) end
  return setmetatable({ s }, Bin)
end

function M.is_bin(value) return getmetatable(value) == Bin end

-- An extension value: kind is -128…127.
function M.ext(kind, data) return setmetatable({ kind = kind, data = data }, Ext) end

function M.is_ext(value) return getmetatable(value) == Ext end

local function mark(what, t, as)
  if t ~= nil and type(t) ~= "table" then misuse("%s: takes a table, not %s", what, shown(t)) end
  return setmetatable(t or {}, as)
end

-- t goes out as a map, or as an array, whatever its keys (an array takes t[1…#t]).
function M.map(t) return mark("map", t, Map) end

function M.array(t) return mark("array", t, Array) end

function M.is_map(value) return getmetatable(value) == Map end

M.Bin, M.Ext, M.Map, M.Array = Bin, Ext, Map, Array

return M
