--- Work shared out to processes: each piece is done in a fork of this one, so many at a time, and what it gives comes
--- back as JSON. What goes wrong in one stays there.
local ffi = require "ffi"
local json = require "tidepool.json"

ffi.cdef [[
int fork(void);
int waitpid(int pid, int *status, int options);
long sysconf(int name);
int prctl(int option, unsigned long argument, unsigned long, unsigned long, unsigned long);
void _exit(int status);
]]

local C = ffi.C
local SC_NPROCESSORS_ONLN, PR_SET_PDEATHSIG, SIGTERM = 84, 1, 15

local processes = {}

--- How many processors are there to be used.
function processes.count()
  return math.max(1, tonumber(C.sysconf(SC_NPROCESSORS_ONLN)))
end

-- What work(task) gives or raises, as JSON.
local function answer_of(work, task)
  local ok, result = pcall(work, task)
  local text, message = json.encode(ok and { result = result } or { message = tostring(result) })
  return text or json.encode { message = message }
end

local function read_answer(file)
  file:seek "set"
  local answer = json.decode(file:read "*a")
  file:close()
  if type(answer) ~= "table" then return nil, "the process ended without an answer" end
  return answer.result, answer.message
end

-- A process that does the task; it ends with this one.
local function start(work, task)
  local file = assert(io.tmpfile())
  local pid = C.fork()
  if pid < 0 then error("no process: errno " .. ffi.errno(), 0) end
  if pid > 0 then return pid, file end
  C.prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0)
  file:write(answer_of(work, task))
  file:flush()
  C._exit(0)
end

--- Do work(task) for every task of the list, `at_once` at a time, beginning with the first. As each ends,
--- done(index, result, message) is called here: result is nil and message says why when it failed.
function processes.each(tasks, at_once, work, done)
  local running, count, status = {}, 0, ffi.new "int[1]"
  local next_task = 1
  while next_task <= #tasks or count > 0 do
    while next_task <= #tasks and count < at_once do
      local pid, file = start(work, tasks[next_task])
      running[pid] = { index = next_task, file = file }
      next_task, count = next_task + 1, count + 1
    end
    local pid = C.waitpid(-1, status, 0)
    local ended = running[pid]
    if ended then
      running[pid], count = nil, count - 1
      done(ended.index, read_answer(ended.file))
    end
  end
end

return processes
