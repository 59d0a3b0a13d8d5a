-- Texts of policies for specs.
local M = {}

-- A policy that works, with one part changed: parts.NAME is the body of that method, parts.top runs with the file,
-- parts.new in new(), parts.result is what the file returns.
function M.policy(parts)
  return ([[
    %s
    local queue = {}
    local object = {}
    function object:submit(job) %s queue[#queue + 1] = job end
    function object:dispatch() %s
      local job = table.remove(queue, 1)
      if job then return job, node.devices[1], node.HOST end
    end
    function object:evict(device, bytes) %s return {} end
    function object:done(job, outcome) %s
      for i = #queue, 1, -1 do if queue[i].id == job.id then table.remove(queue, i) end end
    end
    %s
    return %s
  ]]):format(parts.top or "", parts.submit or "", parts.dispatch or "", parts.evict or "", parts.done or "",
    parts.more or "", parts.result or
    ("{ name = %q, new = function(the_node, config) node = the_node %s return object end }")
      :format(parts.name or "tested", parts.new or ""))
end

-- One whose callback has that body.
function M.with_body(callback, body, name)
  local parts = { name = name }
  if callback == "requeue" or callback == "tick" or callback == "admit" then
    parts.more = ("function object:%s(argument) %s end"):format(callback, body)
  else
    parts[callback] = body
  end
  return M.policy(parts)
end

return M
