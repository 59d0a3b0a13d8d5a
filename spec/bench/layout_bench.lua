-- `spec-runner spec/bench/layout_bench.lua MODEL.onnx… [--samples N] [--kind KIND] [--within SECONDS]`: networks of
-- the zoo that convolve, with channels second (NCHW) and last (NHWC): resident runs of each in a process of its
-- own, as FP32 computed as TF32 and as FP16. One JSON object a run: resident_us, and transpositions, how many the
-- program has. Behind that time no further model is begun.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path

local ffi = require "ffi"
local json = require "tidepool.json"
local write_half = require "spec.support.half_zoo"

ffi.cdef "char *realpath(const char *path, char *resolved);"

local LAYOUTS = { "nchw", "nhwc" }

local own = ffi.new "char[4096]"
assert(ffi.C.realpath("/proc/self/exe", own) ~= nil)

-- One run of that file, as its JSON object with what it was added; nil when it failed, and then said so.
local function measure(name, path, floats, layout, options)
  local pipe = io.popen(("TIDEPOOL_SPEC_MATH=%s TIDEPOOL_SPEC_LAYOUT=%s '%s' spec/bench/gpu_bench.lua --resident "
    .. "--samples %d --kind %s '%s'"):format(floats == "tf32" and "tf32" or "fp32", layout, ffi.string(own),
    options.samples, options.kind, path))
  local ok, row = pcall(json.decode, pipe:read "*a")
  pipe:close()
  row = ok and row or { error = "no answer" }
  row.model, row.floats, row.layout = name, floats, layout
  print(json.encode(row))
  io.flush()
  return row.error == nil
end

-- Both layouts of the file as it is, and of the same in FP16.
local function compare(path, options)
  local name, narrow, ok = path:match "([^/]+)%.onnx$", os.tmpname(), true
  for _, layout in ipairs(LAYOUTS) do ok = measure(name, path, "tf32", layout, options) and ok end
  write_half(name, "FP16", narrow)
  for _, layout in ipairs(LAYOUTS) do ok = measure(name, narrow, "fp16", layout, options) and ok end
  os.remove(narrow)
  return ok
end

local options, paths, arguments = { kind = "cuda", samples = 15, within = math.huge }, {}, { unpack(arg) }
while #arguments > 0 do
  local word = table.remove(arguments, 1)
  if word == "--samples" then options.samples = tonumber(table.remove(arguments, 1))
  elseif word == "--kind" then options.kind = table.remove(arguments, 1)
  elseif word == "--within" then options.within = tonumber(table.remove(arguments, 1))
  else paths[#paths + 1] = word end
end
local failed, began = false, os.time()
for _, path in ipairs(paths) do
  -- Transformers do not convolve.
  local is_wanted = not path:find "bert" and not path:find "gpt" and os.time() - began < options.within
  if is_wanted then failed = not compare(path, options) or failed end
end
os.exit(failed and 1 or 0)
