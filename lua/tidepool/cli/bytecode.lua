--- Which globals a compiled script reads and sets, and on which lines: read from its bytecode, so that every name is
--- found and none that only looks like one.
local bit = require "bit"
local jutil = require "jit.util"

local band, rshift = bit.band, bit.rshift
local funcbc, funcinfo, funck = jutil.funcbc, jutil.funcinfo, jutil.funck

local bytecode = {}

-- Opcodes differ between versions of LuaJIT: this one's are looked up in what it makes of a known line.
local function opcode_of(text, constant)
  local f = assert(loadstring(text))
  for pc = 1, 100 do
    local instruction = funcbc(f, pc)
    if not instruction then break end
    if funck(f, -rshift(instruction, 16) - 1) == constant then return band(instruction, 0xff) end
  end
  error("bytecode: this LuaJIT's instructions are not understood: " .. text)
end

local GGET = opcode_of("return probe", "probe")
local GSET = opcode_of("probe = 1", "probe")
local KSTR = opcode_of("return 'probe'", "probe")

-- A field's instruction holds its constant in eight bits.
local function field_opcode()
  local f = assert(loadstring "local t = ... return t.probe")
  for pc = 1, 100 do
    local instruction = funcbc(f, pc)
    if not instruction then break end
    local constant = -band(rshift(instruction, 16), 0xff) - 1
    if rshift(instruction, 24) == 0 and funck(f, constant) == "probe" then return band(instruction, 0xff) end
  end
  error "bytecode: this LuaJIT's instructions are not understood: a field"
end

local TGETS = field_opcode()

local function constant_of(f, instruction) return funck(f, -rshift(instruction, 16) - 1) end

-- The field that the instruction after a GGET into register `to` reads of it; nil when it does something else.
local function field_of(f, instruction, to)
  if not instruction or band(instruction, 0xff) ~= TGETS or rshift(instruction, 24) ~= to then return nil end
  return funck(f, -band(rshift(instruction, 16), 0xff) - 1)
end

local function visit(f, report)
  for pc = 1, funcinfo(f).bytecodes - 1 do
    local instruction = funcbc(f, pc)
    local operation = band(instruction, 0xff)
    if operation == GGET then
      local following = funcbc(f, pc + 1)
      local argument = following and band(following, 0xff) == KSTR and constant_of(f, following) or nil
      report {
        name = constant_of(f, instruction), line = funcinfo(f, pc).currentline,
        field = field_of(f, following, band(rshift(instruction, 8), 0xff)), argument = argument,
      }
    elseif operation == GSET then
      report { name = constant_of(f, instruction), line = funcinfo(f, pc).currentline, is_set = true }
    end
  end
  for index = -1, -2 ^ 16, -1 do
    local constant = funck(f, index)
    if constant == nil then break end
    if type(constant) == "proto" then visit(constant, report) end
  end
end

--- Call report{ name, line, is_set, field, argument } for each global that the function f, or one inside it, reads or
--- sets. field: what is read of it at once (os.time); argument: the string that follows it (require "x").
function bytecode.globals(f, report) visit(f, report) end

return bytecode
