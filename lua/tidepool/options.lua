--- options_of(options, known, what): the options of a call, {} for nil; one that the call does not know is a mistake.
local misuse = require "tidepool.misuse"
local shown = require "tidepool.shown"

return function(options, known, what)
  if options == nil then return {} end
  if type(options) ~= "table" then misuse("%s: options: must be a table, is %s", what, shown(options)) end
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for each in pairs(known) do names[#names + 1] = each end
      table.sort(names)
      misuse("%s: options: there is no %s; there are %s", what, tostring(name), table.concat(names, ", "))
    end
  end
  return options
end
