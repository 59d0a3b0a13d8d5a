-- Each measurement is a module of tidepool.bench with summary, options and run, as a command has.
local names = { "rpc", "coldstart", "model", "swap", "redirect", "reload", "unruly", "neighbour", "first",
  "policy", "batch", "agree", "fusion" }

local function module(name) return require("tidepool.bench." .. name) end

return {
  summary = "Measure this program on this machine, with nodes of its own.",
  examples = {
    "tidepool bench rpc --seconds 5",
    "tidepool bench coldstart --functions 1000 --json",
    "tidepool bench model resnet50.onnx bert_base.onnx --peer ort --threads 1 --threads 2",
    "tidepool bench first resnet50.onnx --peer ort",
    "tidepool bench swap resnet152.onnx bert_base.onnx --rates 12G,3G",
    "tidepool bench swap resnet50.onnx --parts prefix,ahead,cycles",
    "tidepool bench redirect --calls 200",
    "tidepool bench fusion --samples 500",
    "tidepool bench reload --seconds 60",
    "tidepool bench unruly --only loops",
    "tidepool bench batch mobilenet_v2.onnx --max 8 --inflight 1,16",
    "tidepool bench agree tide fifo --seconds 60",
    "tidepool bench policy",
    "tidepool bench policy tide torpor --devices 8 --queued 5000 --json",
    "tidepool bench policy policies/mine.lua",
  },
  options = function(parser)
    parser:command_target "measurement"
    for _, name in ipairs(names) do
      module(name).options(parser:command(name, module(name).summary))
    end
  end,
  run = function(options) return module(options.measurement).run(options) end,
}
