-- The kind of device that specs run models on: "host", or "cuda" on the stand-in for CUDA (spec/standin/README.md), or
-- as TIDEPOOL_SPEC_DEVICE says, on a machine with a GPU.
local standin = require "spec.support.standin"

return os.getenv "TIDEPOOL_SPEC_DEVICE" or (standin.lib and "cuda" or "host")
