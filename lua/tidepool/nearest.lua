--- nearest(name, known): the key of `known` that name may be a slip of: what is fewest insertions, deletions, changes
--- and swaps of neighbours away, at most one for every three characters; nil when there is none. Of equals the first by
--- name. (The distance is Damerau's, restricted, by its recurrence.)
local min, abs = math.min, math.abs

local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

return function(name, known)
  local best, best_distance = nil, math.floor(#name / 3) + 1
  for key in pairs(known) do
    if type(key) == "string" and key ~= name and abs(#key - #name) < best_distance + 1 then
      local far = distance(name, key)
      if far < best_distance or (far == best_distance and best and key < best) then best, best_distance = key, far end
    end
  end
  return best
end
