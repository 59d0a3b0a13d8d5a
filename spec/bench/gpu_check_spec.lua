-- What `make gpu-check` promises where there is no GPU: its parts fit the time, the table says what the figures mean.
local json = require "tidepool.json"

local SECONDS_IN_ALL = 480

local function capture(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- Figures as the parts write them, of two models; made up, not measured.
local RECORDED = {
  ["parts.tsv"] = "build\tpassed\t61\tbuilt for CUDA 13.0\nparity\tcut off at 40 s\t40\tone, two\n",
  ["swap.json"] = table.concat({
    '{"model":"resnet152.onnx","bytes":240000000,"resident_us":900,"swapped_us":5250,"swap_over_plain":0.97,',
    '"swapped_over_floor":1.05,"plain_gb_s":50.0,"swap_gb_s":48.5,"staged":{}}\n',
    '{"model":"densenet169.onnx","bytes":57000000,"resident_us":2000,"swapped_us":2400,"swap_over_plain":0.90,',
    '"swapped_over_floor":1.2,"plain_gb_s":50.0,"swap_gb_s":45.0,"staged":["DFT","DFT"]}\n',
    '{"model":"models/bert_large.onnx","error":"no memory"}\n',
  }),
  ["torch.json"] = [[
{"model":"resnet152","torch":"2.11.0","on":"cuda","eager_us":1000,"graph_us":800}
a line that is none
]],
  ["ort.json"] = [[{"model":"resnet152.onnx","provider":"CUDA","version":"1.30.0","run_us":1800}]],
  ["layout.json"] = [[
{"model":"resnet152","floats":"fp16","layout":"nchw","resident_us":800,"transpositions":0}
{"model":"resnet152","floats":"fp16","layout":"nhwc","resident_us":600,"transpositions":1}
{"model":"resnet152","floats":"tf32","layout":"nchw","resident_us":900,"transpositions":0}
{"model":"resnet152","floats":"tf32","layout":"nhwc","error":"no engine"}
]],
  ["serving.json"] = [[{"rows":[{"model":"resnet152","call_us":{"p50":1234}}]}]],
}

describe("gpu-check", function()
  it("has parts that fit its time, and says what is missing", function()
    local text, sum, parts = capture "OUT=$(mktemp -d) cmake/gpu_check.sh --dry-run", 0, 0
    for seconds in text:gmatch "at most +(%d+) s" do
      sum, parts = sum + tonumber(seconds), parts + 1
    end
    assert.is_true(parts >= 10, text)
    assert.is_true(sum <= SECONDS_IN_ALL, "parts take " .. sum .. " s")
    assert.matches("would run:", text)
    assert.matches("conformance +what is left", text)
  end)

  describe("table", function()
    local folder

    before_each(function()
      folder = capture("mktemp -d"):match "%S+"
      for name, text in pairs(RECORDED) do write(folder .. "/" .. name, text) end
    end)

    after_each(function() os.execute("rm -r " .. folder) end)

    local function summarize(option)
      local text = capture(("python3 cmake/gpu_table.py %s %s"):format(folder, option or ""))
      local file = assert(io.open(folder .. "/summary.json"), text)
      local summary = json.decode(file:read "*a")
      file:close()
      return summary, text
    end

    local function met_of(model)
      local met = {}
      for _, figure in ipairs(model.figures) do met[figure.name] = figure.met end
      return met
    end

    it("compares each model with what is expected", function()
      local summary, text = summarize()
      local resnet, densenet, bert = unpack(summary.models)
      assert.same({
        ["swap rate over a plain copy's"] = true, ["swapped over floor"] = true, ["resident over PyTorch eager"] = true,
        ["resident over PyTorch's CUDA graph"] = false, ["resident over ONNX Runtime (CUDA)"] = json.null,
      }, met_of(resnet))
      assert.same({ ["swap rate over a plain copy's"] = false, ["swapped over floor"] = json.null }, met_of(densenet))
      assert.same({ "DFT" }, densenet.staged)
      assert.same({ swap = "no memory" }, bert.errors)
      assert.same({ { floats = "fp16", nchw_us = 800, nhwc_us = 600, nhwc_over_nchw = 0.75, transpositions = 1 } },
        resnet.layouts)
      assert.equal("no engine", resnet.errors["layout tf32 nhwc"])
      assert.matches("fp16: NHWC 600 us, NCHW 800 us, ratio 0.750; 1 transpositions", text, 1, true)
      assert.equal("cut off at 40 s", summary.parts[2].result)
      assert.matches("3 of 5 aims met; parts that failed: parity", text, 1, true)
      assert.matches("PyTorch's CUDA graph +1%.125  MISSED: at most 1%.00", text)
      assert.matches("served, client included: p50 1234 us", text, 1, true)
    end)

    it("expects nothing of the stand-in", function()
      local summary, text = summarize "--standin"
      for _, met in pairs(met_of(summary.models[1])) do assert.equal(json.null, met) end
      assert.is_nil(text:find "MISSED")
      assert.matches("no figure is of a GPU", text, 1, true)
    end)

    it("is made of whatever there is", function()
      for name in pairs(RECORDED) do os.remove(folder .. "/" .. name) end
      local summary, text = summarize()
      assert.same({}, summary.models)
      assert.matches("0 of 0 aims met; parts that failed: none", text, 1, true)
    end)
  end)
end)
