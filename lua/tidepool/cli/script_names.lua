--- What a function's script can name: the globals of its environment, the modules that it may require and what is in
--- them. For checks outside of a worker; spec/cli/check_spec.lua compares all of it with a real one.
local function set(names)
  local list = {}
  for name in names:gmatch "%S+" do list[name] = true end
  return list
end

local script_names = {}

--- name = true, or for a library the set of its fields.
script_names.globals = set [[
  assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable tonumber tostring type
  unpack xpcall collectgarbage print require load loadstring _G _VERSION
]]

local libraries = {
  bit = "tobit tohex bnot band bor bxor lshift rshift arshift rol ror bswap",
  math = [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad
    random randomseed sin sinh sqrt tan tanh]],
  string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
  table = "concat foreach foreachi getn insert maxn move remove sort",
  coroutine = "create resume running status wrap yield",
  os = "clock date difftime time",
  debug = "traceback",
}
for name, fields in pairs(libraries) do script_names.globals[name] = set(fields) end

--- By module: the set of its fields; of a table in it the set of its own.
script_names.modules = {
  tidepool = set [[array bin concat einsum error flush full get log map now null range stack tensor wait where zeros]],
}
local tables = {
  base64 = "decode encode",
  image = "decode encode info pad planes rectangle regions resize turn warp",
  json = "decode encode null",
  msgpack = "decode encode",
  text = "bpe tokenizer wordpiece",
}
for name, fields in pairs(tables) do script_names.modules.tidepool[name] = set(fields) end

--- Fields and methods of ctx.
script_names.context = set "call deadline files models remaining send"

return script_names
