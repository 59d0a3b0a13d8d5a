-- readable(value): a value as a line of a log: text as it is, tables with what they hold ({ 1, 2, name = "x" }), keys
-- in order; what is deeper or longer than anybody reads is left out.
local DEPTH_MAX, LENGTH_MAX = 6, 2000

local concat, sort, format = table.concat, table.sort, string.format

local function is_plain(value)
  local meta = getmetatable(value)
  return type(value) == "table" and not (type(meta) == "table" and meta.__tostring)
end

-- Numbers before text, so that lists come as they are counted.
local function before(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then return kind_a < kind_b end
  if kind_a == "number" or kind_a == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function keys_of(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  sort(keys, before)
  return keys
end

local function put(out, text)
  out.length = out.length + #text
  out[#out + 1] = text
end

local put_value

local function put_entry(out, t, key, position, depth)
  if key ~= position then
    local is_name = type(key) == "string" and key:find "^[%a_][%w_]*$"
    put(out, is_name and key or format("[%s]", type(key) == "string" and format("%q", key) or tostring(key)))
    put(out, " = ")
  end
  put_value(out, rawget(t, key), depth)
end

local function put_table(out, t, depth)
  if next(t) == nil then return put(out, "{}") end
  if depth > DEPTH_MAX or out.length > LENGTH_MAX then return put(out, "{ … }") end
  put(out, "{ ")
  for position, key in ipairs(keys_of(t)) do
    if position > 1 then put(out, ", ") end
    if out.length > LENGTH_MAX then
      put(out, "…")
      break
    end
    put_entry(out, t, key, position, depth + 1)
  end
  put(out, " }")
end

function put_value(out, value, depth)
  if is_plain(value) then return put_table(out, value, depth) end
  put(out, type(value) == "string" and format("%q", value) or tostring(value))
end

return function(value)
  if not is_plain(value) then return tostring(value) end
  local out = { length = 0 }
  put_table(out, value, 1)
  return concat(out)
end
