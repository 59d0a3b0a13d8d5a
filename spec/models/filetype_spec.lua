-- models/filetype against the package whose model it runs: the same tokens, and from the same scores the same answer.
-- That the node computes these scores is spec/path's business.
local json = require "tidepool.json"
local samples = require "spec.models.filetype_samples"
local files = require "spec.support.files"

local PYTHON = "build/venv/bin/python"

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The function's table. The worker's library is not needed for what these specs call, apart from JSON and the tensor's
-- elements, which the call of the model below looks at.
local function load_function()
  local env = setmetatable({}, { __index = _G })
  function env.require(name)
    assert.equal("tidepool", name)
    return { json = json, tensor = function(datatype, shape, elements)
      return { datatype = datatype, shape = shape, elements = elements }
    end }
  end
  return setfenv(assert(loadfile "models/filetype/function.lua"), env)()
end

describe("filetype", function()
  if not exists(PYTHON) or os.execute(PYTHON .. " -c 'import magika' 2>/dev/null") ~= 0 then
    pending("build/venv has no magika: cmake/setup.sh test makes it")
    return
  end
  if not exists "build/models/filetype/config.min.json" then
    pending("build/models/filetype is missing: tidepool fetch models/filetype makes it")
    return
  end

  local filetype, folder, answers, context
  -- What the stand-in for the model was given last, and what it answers.
  local given, scores

  setup(function()
    folder = io.popen("mktemp -d"):read "*l"
    local paths = samples.make(folder)
    local pipe = io.popen(PYTHON .. " spec/models/filetype_reference.py " .. table.concat(paths, " "), "r")
    answers = assert(json.decode(pipe:read "*a"))
    pipe:close()
    assert.equal(#paths, #answers)
    filetype = load_function()
    context = {
      files = {
        config = files.read "build/models/filetype/config.min.json",
        content_types = files.read "build/models/filetype/content_types.min.json",
      },
      models = {
        net = function(tensor)
          given = tensor
          return { get = function() return scores end }
        end,
      },
    }
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  local function check(request, answer)
    given, scores = nil, answer.scores
    local reply = filetype.handler(context, request)
    assert.same({
      label = answer.label, score = answer.score, description = answer.description, mime_type = answer.mime_type,
      group = answer.group, is_text = answer.is_text, model_label = answer.model_label,
    }, reply, answer.path)
    if not answer.tokens then
      assert.is_nil(given, answer.path .. ": the model was asked")
      return
    end
    assert.same({ datatype = "INT32", shape = { 1, 2048 }, elements = answer.tokens }, given, answer.path)
  end

  it("answers as the package does, file by file", function()
    local labels = {}
    for _, answer in ipairs(answers) do
      check(files.read(answer.path), answer)
      labels[answer.label] = true
    end
    -- The samples reach every kind of answer.
    for _, label in ipairs { "empty", "txt", "unknown", "c", "lua", "json", "png", "elf", "pdf", "gzip", "shell" } do
      assert.is_true(labels[label], label .. " is not among the answers")
    end
  end)

  it("needs only the first and the last block", function()
    for _, answer in ipairs(answers) do
      local bytes = files.read(answer.path)
      check({ head = bytes:sub(1, 4096), tail = bytes:sub(-4096), size = #bytes }, answer)
    end
  end)

  it("refuses what is no file", function()
    for _, request in ipairs { 3, {}, { head = "x" }, { head = "x", size = 4 }, { head = "x", size = "1" },
      { head = ("x"):rep(4096), tail = "x", size = 5000 } } do
      assert.is_false((pcall(filetype.handler, context, request)))
    end
    assert.is_false((pcall(filetype.handler, context)))
  end)

  it("says whether it is text where the model is not sure", function()
    local low = {}
    for index = 1, 214 do low[index] = 0.001 end
    local request = ("text of some length "):rep(10)
    scores = low
    assert.equal("unknown", filetype.handler(context, request).label)
    local labels = json.decode(context.files.config).target_labels_space
    for index, label in ipairs(labels) do
      if label == "markdown" then
        low[index] = 0.74
        assert.equal("txt", filetype.handler(context, request).label)
        low[index] = 0.75
        local reply = filetype.handler(context, request)
        assert.same({ "markdown", 0.75, "markdown" }, { reply.label, reply.score, reply.model_label })
      end
    end
  end)
end)
