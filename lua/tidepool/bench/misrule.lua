--- Bad policies, one of every kind: fifo with one thing wrong, which shows from its sixth call on, when it has been in
--- force for a while.
local native = require "tidepool.native"

local misrule = {}

-- fifo under that name, with `inject` run on the object that new() made: `original(name)` gives a method as it was.
local function policy(name, inject)
  local source = native.embedded "policies/fifo.lua"
  local wrapped = ([[return { name = %q, new = function(node, config)
    local object = fifo.new(node, config)
    local function original(name) return fifo[name] or function() end end
    %s
    return object
  end }]]):format(name, inject)
  local text, count = source:gsub('return { name = "fifo", new = fifo.new }', function() return wrapped end)
  assert(count == 1, "fifo.lua ends otherwise than expected")
  return text
end

-- A method that does `body` from its sixth call on.
local function late(method, body)
  local answer = method == "admit" and "true" or ("%s(self, ...)"):format("before")
  return ([[local calls, before = 0, original %q
    function object.%s(self, ...)
      calls = calls + 1
      if calls > 5 then %s end
      return %s
    end]]):format(method, method, body, answer)
end

local LOOP = "local x = 0 while true do x = x + 1 end"
local GARBAGE = "local all = {} for i = 1, 1e9 do all[i] = ('x'):rep(1000) .. i end"
-- What snapshot and restore do on their first call.
local function at_once(method, body)
  local other = method == "restore" and "function object.snapshot() return {} end" or ""
  return other .. (" function object.%s(self, ...) do %s end end"):format(method, body)
end

-- Verdicts that are nonsense, by what is wrong with them: the method and its body; `before` is the method as it was.
local nonsense = {
  { "dispatch", "no job", "return 'job', 0, node.HOST" },
  { "dispatch", "a job that was dispatched", [[
      local job, device, source = before(self)
      if self.last then return self.last, 0, node.HOST end
      self.last = job
      if job then return job, device, source end]] },
  { "dispatch", "a device that is not there",
    "local job = self.waiting:peek() if job then return job, 9, node.HOST end" },
  { "dispatch", "a resident model that is not",
    [[local job = self.waiting:peek()
      for i = 0, job and job.model_count - 1 or -1 do
        if node.groups(job.models[i], node.devices[1]) < job.models[i].group_count then return job, 0, node.RESIDENT end
      end]] },
  { "dispatch", "a peer that is not there",
    "local job = self.waiting:peek() if job then return job, 0, node.PEER, 3 end" },
  { "evict", "no list", "return 'all of it'" },
  { "evict", "a model that is not there", "return { 99, 0 }" },
  { "evict", "a model twice",
    "local list = before(self, ...) return list and { list[1], list[2], list[1], list[2] }" },
  { "prefetch", "no model", "return 'x'" },
}

--- The kinds: { name, ends, source }, where ends is "refused" (by policy.load), "replaced" (later) or "handing over"
--- (when another is loaded).
function misrule.kinds()
  local kinds = {}
  local function add(name, ends, source) kinds[#kinds + 1] = { name = name, ends = ends, source = source } end
  local function bad(inject) return policy("bad", inject) end
  add("syntax error", "refused", "return {\n\nname = }")
  add("contract broken", "refused", "return { name = 'bad', new = 3 }")
  add("new raises", "refused", bad "error 'no'")
  add("new loops", "refused", bad(LOOP))
  add("file loops", "refused", LOOP .. bad "")
  for _, method in ipairs { "submit", "dispatch", "evict", "done", "tick", "admit", "prefetch" } do
    add(method .. " raises", "replaced", bad(late(method, "error 'broken'")))
    add(method .. " loops", "replaced", bad(late(method, LOOP)))
  end
  add("snapshot raises", "handing over", bad(at_once("snapshot", "error 'broken'")))
  add("snapshot loops", "handing over", bad(at_once("snapshot", LOOP)))
  add("restore raises", "refused", bad(at_once("restore", "error 'broken'")))
  add("restore loops", "refused", bad(at_once("restore", LOOP)))
  for _, method in ipairs { "submit", "dispatch", "done" } do
    add(method .. " makes 1 GB of garbage", "replaced", bad(late(method, GARBAGE)))
  end
  for _, case in ipairs(nonsense) do
    add(("%s says %s"):format(case[1], case[2]), "replaced", bad(late(case[1], case[3])))
  end
  return kinds
end

--- A good one, with state to hand over.
function misrule.good(name)
  return policy(name, [[local kept = {}
    function object.snapshot() return kept end
    function object.restore(_, state) kept = state end]])
end

return misrule
