--- Where things stand in the text of a script, for messages with a line.
local source_text = {}

--- Text without comments and the contents of strings, its lines where they were.
function source_text.bare(source)
  local function blank(text) return (text:gsub("[^\n]", " ")) end
  local out, at = {}, 1
  while at <= #source do
    local start, _, what = source:find("([-\"'%[])", at)
    if not start then break end
    out[#out + 1] = source:sub(at, start - 1)
    local long = source:match("^%[(=*)%[", start)
    local comment = what == "-" and source:match("^%-%-", start)
    local long_comment = comment and source:match("^%-%-%[(=*)%[", start)
    local stop
    if long or long_comment then
      stop = select(2, source:find("]" .. (long or long_comment) .. "]", start, true)) or #source
    elseif comment then
      stop = (source:find("\n", start, true) or #source + 1) - 1
    elseif what == '"' or what == "'" then
      stop = start + 1
      while stop <= #source and source:sub(stop, stop) ~= what do
        stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
      end
    else
      stop = start
    end
    local piece = source:sub(start, stop)
    out[#out + 1] = (long or comment or what == '"' or what == "'") and blank(piece) or piece
    at = stop + 1
  end
  out[#out + 1] = source:sub(at)
  return table.concat(out)
end

--- The line of a position in the text.
function source_text.line_of(text, position)
  local _, count = text:sub(1, position - 1):gsub("\n", "")
  return count + 1
end

--- The line where a script sets the field that a complaint begins with ("slo.ms: …", "test[2].error: …"), as far as it
--- can be found in its bare text; nil when not.
function source_text.line_of_field(text, complaint)
  local path = complaint:match "^([%w_.%[%]]+):"
  local at = 1
  for key in (path or ""):gsub("%[%d+%]", ""):gmatch "[^.]+" do
    local _, stop = text:find("%f[%w_]" .. key .. "%s*=", at)
    if not stop then break end
    at = stop
  end
  return at > 1 and source_text.line_of(text, at) or nil
end

return source_text
