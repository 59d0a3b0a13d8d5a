local output = require "tidepool.cli.output"
local session = require "tidepool.cli.session"

-- Cells of the bar that shows a device's memory.
local CELLS = 64

local function to_text(status)
  local rows = {}
  for index, each in ipairs(status.devices) do
    rows[index] = { each.id, each.kind, each.name, each.state, output.bytes(each.memory_bytes),
      output.bytes(each.used_bytes), output.bytes(each.largest_free_bytes), each.extents, each.reopened }
  end
  return output.rows({ "DEVICE", "KIND", "NAME", "STATE", "MEMORY", "USED", "LARGEST FREE", "EXTENTS", "REOPENED" },
    rows)
end

local function user_of(piece)
  return piece.model or piece.use
end

-- One character a cell: the use that most of the cell's memory has, a letter a model, "." for free.
local function bar(pieces, letters)
  local last = pieces[#pieces]
  local cell_bytes = (last.offset + last.bytes) / CELLS
  local most, winner = {}, {}
  for _, piece in ipairs(pieces) do
    local first = math.floor(piece.offset / cell_bytes)
    local final = math.min(CELLS - 1, math.floor((piece.offset + piece.bytes - 1) / cell_bytes))
    for cell = first, final do
      local from = math.max(piece.offset, cell * cell_bytes)
      local to = math.min(piece.offset + piece.bytes, (cell + 1) * cell_bytes)
      if to - from > (most[cell] or 0) then most[cell], winner[cell] = to - from, letters[user_of(piece)] end
    end
  end
  local cells = {}
  for cell = 0, CELLS - 1 do cells[cell + 1] = winner[cell] end
  return table.concat(cells)
end

-- What each user has, largest first, and its letter on the bar.
local function users_of(pieces)
  local users, by_name = {}, {}
  for _, piece in ipairs(pieces) do
    local name = user_of(piece)
    local user = by_name[name]
    if not user then
      user = { name = name, bytes = 0, extents = 0, largest = 0 }
      by_name[name], users[#users + 1] = user, user
    end
    user.bytes, user.extents = user.bytes + piece.bytes, user.extents + 1
    user.largest = math.max(user.largest, piece.bytes)
  end
  table.sort(users, function(a, b) return a.bytes > b.bytes end)
  return users
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

local function map_to_text(pieces)
  local users, letters, rows, next_letter = users_of(pieces), { free = ".", tensors = "#", scratch = "=" }, {}, 1
  for index, user in ipairs(users) do
    if not letters[user.name] then
      -- More models than letters: the smallest share one.
      letters[user.name] = next_letter <= #ALPHABET and ALPHABET:sub(next_letter, next_letter) or "?"
      next_letter = next_letter + 1
    end
    rows[index] = { letters[user.name], user.name, output.bytes(user.bytes), user.extents, output.bytes(user.largest) }
  end
  return bar(pieces, letters) .. "\n\n" .. output.rows({ "", "USE", "BYTES", "PIECES", "LARGEST" }, rows)
end

return {
  summary = "List the node's devices; show what their memory holds.",
  examples = { "tidepool devices", "tidepool devices map", "tidepool devices map --device 1 --json" },
  options = function(parser)
    parser:command_target "action"
    parser:require_command(false)
    session.options(parser)
    local map = parser:command("map", "Show a device's memory: a letter a model, # tensors, = scratch, . free.")
    map:option("--device", "Number of the device."):argname "N":convert(tonumber):default "0"
    parser:command("list", "List the devices (the default).")
  end,
  run = function(options)
    if options.action == "map" then
      return session.call(options, "device.map", { device = options.device }), map_to_text
    end
    return session.call(options, "node.status", {}), to_text
  end,
}
