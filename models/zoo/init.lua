-- The zoo: architectures by name, written as ONNX files with seeded weights.
--
--   luajit -e 'package.path = "./?.lua;./?/init.lua;" .. package.path' models/zoo/init.lua NAME FILE
--   local zoo = require "models.zoo"; zoo.write("resnet50", "resnet50.onnx")
local builder = require "models.zoo.builder"
local densenet = require "models.zoo.densenet"
local inception = require "models.zoo.inception"
local mobile = require "models.zoo.mobile"
local resnet = require "models.zoo.resnet"
local transformer = require "models.zoo.transformer"

local BERT_BASE = { width = 768, layers = 12, heads = 12, tokens = 128 }
local BERT_LARGE = { width = 1024, layers = 24, heads = 16, tokens = 512 }
local VIT = { width = 768, layers = 12, heads = 12, patch = 16 }
local GPT2 = { width = 768, layers = 12, heads = 12, tokens = 64 }

local M = {}

M.models = {
  resnet50 = function(b) resnet(b, 50) end,
  resnet101 = function(b) resnet(b, 101) end,
  resnet152 = function(b) resnet(b, 152) end,
  densenet169 = function(b) densenet(b, 169) end,
  densenet201 = function(b) densenet(b, 201) end,
  inception_v3 = inception,
  efficientnet_b0 = mobile.efficientnet_b0,
  mobilenet_v2 = mobile.mobilenet_v2,
  bert_base = function(b) transformer.bert(b, BERT_BASE) end,
  bert_large = function(b) transformer.bert(b, BERT_LARGE) end,
  vit_b16 = function(b) transformer.vit(b, VIT) end,
  gpt2 = function(b) transformer.gpt2(b, GPT2) end,
}

function M.names()
  local names = {}
  for name in pairs(M.models) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Write the model of that name to path; returns the bytes of its parameters.
function M.write(name, path)
  local build = M.models[name] or error(("no model %q in the zoo: %s"):format(name, table.concat(M.names(), ", ")), 2)
  local b = builder.new(name, 1)
  build(b)
  return b:write(path)
end

if arg and arg[0] and arg[0]:match "zoo/init%.lua$" and arg[2] then
  print(("%s: %.1f MB of parameters in %s"):format(arg[1], M.write(arg[1], arg[2]) / 1e6, arg[2]))
end

return M
