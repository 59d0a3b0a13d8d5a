---@meta tidepool
-- What a function's script has from `require "tidepool"`, for the Lua language server: add this folder to
-- Lua.workspace.library. spec/library_spec.lua checks that it says what there is.

---Element types, as the Open Inference Protocol names them.
---@alias Datatype "FP32"|"FP64"|"FP16"|"BF16"|"INT8"|"INT16"|"INT32"|"INT64"|"UINT8"|"UINT16"|"UINT32"|"UINT64"|"BOOL"

---Names of errors, as clients get them.
---@alias ErrorCode
---| "CANCELLED"
---| "UNKNOWN"
---| "INVALID_ARGUMENT"
---| "DEADLINE_EXCEEDED"
---| "NOT_FOUND"
---| "ALREADY_EXISTS"
---| "PERMISSION_DENIED"
---| "RESOURCE_EXHAUSTED"
---| "FAILED_PRECONDITION"
---| "ABORTED"
---| "OUT_OF_RANGE"
---| "UNIMPLEMENTED"
---| "INTERNAL"
---| "UNAVAILABLE"
---| "DATA_LOSS"
---| "UNAUTHENTICATED"

---A tensor as a plain map: what clients send and get.
---@class WireTensor
---@field datatype Datatype
---@field shape integer[]
---@field data string|number[]

---What stands for a tensor in a call of an operator: a number takes the other operand's type.
---@alias Operand Tensor|HostTensor|number

---What a function's file returns.
---@class Function
---@field name? string What it is called when the deploy does not say.
---@field description? string
---@field models? table<string, string> Local names to ONNX files, or to models that the node has loaded.
---@field files? table<string, string> Local names to further files, whose contents are in ctx.files.
---@field slo? FunctionObjective What the scheduling policy aims at.
---@field batch? FunctionBatch Requests that may run as one.
---@field limits? FunctionLimits The node's configuration says what holds without, and the most that may be asked.
---@field test? FunctionTest[] What a new generation must answer before it serves.
---@field setup? fun(ctx: Context) Run once in each worker.
---@field handler? fun(ctx: Context, req: any): any Runs each request; without it the core runs the one model.

---@class FunctionObjective
---@field ms number What a request may take …
---@field percentile? number … for so many of a hundred; 98 when nil.

---@class FunctionBatch
---@field max integer Rows that one run may have, 2 to 32.
---@field window_ms? number How long the first request waits for others; 0 when nil.

---@class FunctionLimits
---@field timeout_ms? number Of a request, from when its handler begins.
---@field cpu_ms? number Processor time of a request.
---@field memory_mb? number Of a worker.
---@field reply_kb? number Of a reply, or of one part of a stream.
---@field log_kb? number Of what one request logs.
---@field concurrency? integer Requests in one worker at once.
---@field queue? integer Requests that wait for a place.
---@field workers_min? integer Workers that stay though idle.
---@field workers_max? integer

---@class FunctionTest
---@field name? string
---@field request? any
---@field expect? any Maps may have more than this; numbers may differ by the tolerance.
---@field error? ErrorCode What must be raised instead.
---@field tolerance? number 1e-4 when nil; relative above 1.

---What a handler is given beside the request.
---@class Context
---@field models table<string, fun(...: Operand|WireTensor): Tensor> Runs a model; gives one tensor an output, at once.
---@field files table<string, string>
---@field deadline number When the request's time is up, in seconds of tide.now().
local Context = {}

---A call of another function that is under way.
---@class FunctionCall
local FunctionCall = {}

---The answer; waits for it, and raises when it is an error.
---@return any
function FunctionCall:get() end

---Whether get() would not wait.
---@return boolean
function FunctionCall:done() end

---Call another function and go on; the answer is waited for with get(), or by being part of the reply.
---@param name string
---@param value any
---@param options? { timeout_ms?: number }
---@return FunctionCall
function Context.call(name, value, options) end

---Send a part of the answer now, before the handler returns. Waits while the client has much to read. Clients that do
---not look for parts skip them. Raises FAILED_PRECONDITION when another function called, which takes no parts.
---@param value any
function Context:send(value) end

---Milliseconds that the handler has left: until the client's deadline, or its own limit of time.
---@return number
function Context.remaining() end

---A tensor on the device: a handle for a value that is there once the batch has run.
---@class Tensor
---@operator add(Operand): Tensor
---@operator sub(Operand): Tensor
---@operator mul(Operand): Tensor
---@operator div(Operand): Tensor
---@operator mod(Operand): Tensor
---@operator pow(Operand): Tensor
---@operator unm: Tensor
---@field [integer] Tensor A slice of the first axis, which goes; positions count from 0.
local Tensor = {}

---Bring it here: sends the batch and waits.
---@return HostTensor
function Tensor:get() end

---Let the device have its memory back before the request ends.
function Tensor:free() end

---Its type, as far as it is known before the batch has run.
---@return Datatype?
function Tensor:datatype() end

---max(x, 0).
---@return Tensor
function Tensor:relu() end

---1 / (1 + exp(-x)).
---@return Tensor
function Tensor:sigmoid() end

---Hyperbolic tangent.
---@return Tensor
function Tensor:tanh() end

---Exponential.
---@return Tensor
function Tensor:exp() end

---Natural logarithm.
---@return Tensor
function Tensor:log() end

---Square root.
---@return Tensor
function Tensor:sqrt() end

----x.
---@return Tensor
function Tensor:neg() end

---Absolute value.
---@return Tensor
function Tensor:abs() end

---Error function.
---@return Tensor
function Tensor:erf() end

---Gaussian error linear unit.
---@return Tensor
function Tensor:gelu() end

---Down to whole numbers.
---@return Tensor
function Tensor:floor() end

---Up to whole numbers.
---@return Tensor
function Tensor:ceil() end

---To the nearest whole number, ties to even.
---@return Tensor
function Tensor:round() end

----1, 0 or 1.
---@return Tensor
function Tensor:sign() end

---Of booleans.
---@return Tensor
function Tensor:logical_not() end

---1 / x.
---@return Tensor
function Tensor:reciprocal() end

---Sine.
---@return Tensor
function Tensor:sin() end

---Cosine.
---@return Tensor
function Tensor:cos() end

---Tangent.
---@return Tensor
function Tensor:tan() end

---log(1 + exp(x)).
---@return Tensor
function Tensor:softplus() end

---x / (1 + |x|).
---@return Tensor
function Tensor:softsign() end

---x · sigmoid(x).
---@return Tensor
function Tensor:silu() end

---x · tanh(softplus(x)).
---@return Tensor
function Tensor:mish() end

---x · clip(x / 6 + 1/2, 0, 1).
---@return Tensor
function Tensor:hard_swish() end

---Whether an element is no number.
---@return Tensor
function Tensor:is_nan() end

---Whether an element is infinite.
---@return Tensor
function Tensor:is_inf() end

---Elements below 0 times alpha.
---@param alpha? number 0.01 when nil.
---@return Tensor
function Tensor:leaky_relu(alpha) end

---Elements below 0 become alpha · (exp(x) - 1).
---@param alpha? number 1 when nil.
---@return Tensor
function Tensor:elu(alpha) end

---Sum; shapes are broadcast.
---@param other Operand
---@return Tensor
function Tensor:add(other) end

---Difference.
---@param other Operand
---@return Tensor
function Tensor:sub(other) end

---Product, element by element.
---@param other Operand
---@return Tensor
function Tensor:mul(other) end

---Quotient.
---@param other Operand
---@return Tensor
function Tensor:div(other) end

---Power.
---@param other Operand
---@return Tensor
function Tensor:pow(other) end

---The larger of two, element by element.
---@param other Operand
---@return Tensor
function Tensor:maximum(other) end

---The smaller of two, element by element.
---@param other Operand
---@return Tensor
function Tensor:minimum(other) end

---What is left of a division, with the sign of other.
---@param other Operand
---@return Tensor
function Tensor:mod(other) end

---Comparison: booleans.
---@param other Operand
---@return Tensor
function Tensor:equal(other) end

---Comparison: booleans.
---@param other Operand
---@return Tensor
function Tensor:less(other) end

---Comparison: booleans.
---@param other Operand
---@return Tensor
function Tensor:less_equal(other) end

---Comparison: booleans.
---@param other Operand
---@return Tensor
function Tensor:greater(other) end

---Comparison: booleans.
---@param other Operand
---@return Tensor
function Tensor:greater_equal(other) end

---Of booleans.
---@param other Operand
---@return Tensor
function Tensor:logical_and(other) end

---Of booleans.
---@param other Operand
---@return Tensor
function Tensor:logical_or(other) end

---Of booleans.
---@param other Operand
---@return Tensor
function Tensor:logical_xor(other) end

---Elements below low become low, those above high become high; nil: no bound.
---@param low? Operand
---@param high? Operand
---@return Tensor
function Tensor:clip(low, high) end

---As another element type.
---@param datatype Datatype
---@return Tensor
function Tensor:cast(datatype) end

---Exponentials over their sum along an axis.
---@param axis? integer The last one when nil.
---@return Tensor
function Tensor:softmax(axis) end

---Logarithm of softmax.
---@param axis? integer The last one when nil.
---@return Tensor
function Tensor:log_softmax(axis) end

---Sum.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:sum(axes, keep) end

---Mean.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:mean(axes, keep) end

---Largest.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:max(axes, keep) end

---Smallest.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:min(axes, keep) end

---Product.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:prod(axes, keep) end

---Sum of squares.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:sum_square(axes, keep) end

---Sum of absolute values.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:norm1(axes, keep) end

---Root of the sum of squares.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:norm2(axes, keep) end

---Logarithm of the sum of exponentials.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:log_sum_exp(axes, keep) end

---Mean of squared distances from the mean.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:var(axes, keep) end

---Root of var.
---@param axes? integer|integer[] All when nil.
---@param keep? boolean The axes stay, with size 1.
---@return Tensor
function Tensor:std(axes, keep) end

---The sum of the elements so far.
---@param axis? integer The last one when nil.
---@return Tensor
function Tensor:cumsum(axis) end

---Position of the largest, from 0.
---@param axis? integer The last one when nil.
---@param keep? boolean
---@return Tensor
function Tensor:argmax(axis, keep) end

---Position of the smallest, from 0.
---@param axis? integer The last one when nil.
---@param keep? boolean
---@return Tensor
function Tensor:argmin(axis, keep) end

---The k largest in order, and their positions.
---@param k integer
---@param axis? integer The last one when nil.
---@param smallest? boolean The k smallest instead.
---@return Tensor values
---@return Tensor positions
function Tensor:topk(k, axis, smallest) end

---Matrix product; leading axes are broadcast.
---@param other Operand
---@return Tensor
function Tensor:matmul(other) end

---In another shape; one size may be -1, which is what is left; 0: as it was.
---@param shape integer[]|Tensor
---@return Tensor
function Tensor:reshape(shape) end

---Broadcast to that shape.
---@param shape integer[]|Tensor
---@return Tensor
function Tensor:expand(shape) end

---With its axes in another order.
---@param order? integer[] The other way round when nil.
---@return Tensor
function Tensor:transpose(order) end

---From starts up to but not with ends.
---@param starts integer|integer[]
---@param ends integer|integer[]
---@param axes? integer|integer[] The first ones when nil.
---@param steps? integer|integer[]
---@return Tensor
function Tensor:slice(starts, ends, axes, steps) end

---As a matrix: axes before `axis` become rows.
---@param axis? integer 1 when nil.
---@return Tensor
function Tensor:flatten(axis) end

---In pieces of these sizes.
---@param sizes integer[]
---@param axis? integer 0 when nil.
---@return Tensor ...
function Tensor:split(sizes, axis) end

---With further elements along each axis.
---@param before integer[]
---@param after integer[]
---@param value? number 0 when nil.
---@return Tensor
function Tensor:pad(before, after, value) end

---To these sizes, one an axis.
---@param sizes integer[]
---@param mode? "nearest"|"linear"|"cubic"
---@return Tensor
function Tensor:resize(sizes, mode) end

---The axes from `axis` on to mean 0 and variance 1, times scale, plus bias.
---@param scale? Operand
---@param bias? Operand
---@param axis? integer -1 when nil.
---@param epsilon? number 1e-5 when nil.
---@return Tensor
function Tensor:layer_norm(scale, bias, axis, epsilon) end

---Less mean, divided by std; tables have one number a channel.
---@param mean number|number[]
---@param std number|number[]
---@param axis? integer The channels; 1 when nil.
---@param rank? integer 4 when nil.
---@return Tensor
function Tensor:normalize(mean, std, axis, rank) end

---Divided by its length along an axis.
---@param axis? integer -1 when nil.
---@param epsilon? number 1e-12 when nil.
---@return Tensor
function Tensor:l2_normalize(axis, epsilon) end

---Slices at these positions.
---@param indices integer[]|Tensor
---@param axis? integer 0 when nil.
---@return Tensor
function Tensor:gather(indices, axis) end

---The element of each position along an axis.
---@param indices Tensor
---@param axis? integer -1 when nil.
---@return Tensor
function Tensor:take_along(indices, axis) end

---Rows of depth numbers, 1 at the position that an element names.
---@param depth integer
---@param datatype? Datatype FP32 when nil.
---@return Tensor
function Tensor:one_hot(depth, datatype) end

---Repeated along each axis.
---@param counts integer[]
---@return Tensor
function Tensor:tile(counts) end

---Without axes of size 1.
---@param axes? integer|integer[] All when nil.
---@return Tensor
function Tensor:squeeze(axes) end

---With axes of size 1 at these places of the result.
---@param axes integer|integer[]
---@return Tensor
function Tensor:unsqueeze(axes) end

---With another behind it.
---@param other Operand
---@param axis? integer 0 when nil.
---@return Tensor
function Tensor:concat(other, axis) end

---A tensor here: elements count from 1, in row-major order. It has the methods of device tensors too, which copy it
---there.
---@class HostTensor: Tensor
---@field [integer] number|boolean
---@operator len: integer
local HostTensor = {}

---Sizes, outermost first.
---@return integer[]
function HostTensor:shape() end

---Its element type.
---@return Datatype
function HostTensor:datatype() end

---All elements in one flat table.
---@return (number|boolean)[]
function HostTensor:totable() end

---The bytes of the elements, little endian.
---@return string
function HostTensor:bytes() end

---The element of a tensor that has one.
---@return number|boolean
function HostTensor:item() end

---Every element becomes value.
---@param value number|boolean
---@return HostTensor self
function HostTensor:fill(value) end

---Itself.
---@return HostTensor
function HostTensor:get() end

---Where something lies in a picture: the middle, the sizes along and across (cosine, sine).
---@class Region
---@field x number
---@field y number
---@field width number
---@field height number
---@field cosine number
---@field sine number
---@field score number Mean of the map in it.
---@field cells integer

---Pictures: host tensors UINT8 { height, width, channels }.
---@class tide.image
local image = {}

---What encoded bytes hold; looks at their head only.
---@param data string|table
---@return { format: "jpeg"|"png", width: integer, height: integer, channels: integer }
function image.info(data) end

---JPEG or PNG bytes as a picture. Raises INVALID_ARGUMENT for bytes that are none.
---@param data string|table
---@param channels? 1|3|4 3 when nil.
---@return HostTensor
function image.decode(data, channels) end

---The picture as a string of bytes.
---@param picture HostTensor
---@param format "jpeg"|"png"
---@param quality? integer 1 to 100, for JPEG; 85 when nil.
---@return string
function image.encode(picture, format, quality) end

---Stretched to these sizes.
---@param picture HostTensor
---@param height integer
---@param width integer
---@param filter? "linear"|"area"|"nearest"
---@return HostTensor
function image.resize(picture, height, width, filter) end

---What lies between four corners, as a picture that large.
---@param picture HostTensor
---@param corners number[][] Top left, top right, bottom right, bottom left.
---@param height integer
---@param width integer
---@return HostTensor
function image.warp(picture, corners, height, width) end

---Turned counterclockwise by so many quarters of a turn.
---@param picture HostTensor
---@param quarters 1|2|3
---@return HostTensor
function image.turn(picture, quarters) end

---With further rows and columns of pixels.
---@param picture HostTensor
---@param above integer
---@param below integer
---@param left? integer
---@param right? integer
---@param value? integer 0 when nil.
---@return HostTensor
function image.pad(picture, above, below, left, right, value) end

---As the input of a model: FP32 { pictures, channels, height, width }, (pixel / 255 - mean) / std.
---@param pictures HostTensor|HostTensor[]
---@param options? { mean?: number|number[], std?: number|number[], bgr?: boolean, height?: integer, width?: integer }
---@return HostTensor
function image.planes(pictures, options) end

---Connected regions of a map FP32 { height, width } above a threshold.
---@param map HostTensor
---@param options? { threshold?: number, grow?: boolean, most?: integer }
---@return Region[]
function image.regions(map, options) end

---The smallest rectangle around points.
---@param points number[][]
---@return Region
function image.rectangle(points) end

---@class tide.text
local text = {}

---Text as numbers that models know, and back.
---@class Tokenizer
local Tokenizer = {}

---The tokenizer that the text of a tokenizer.json describes: WordPiece or byte-level BPE.
---@param text string
---@return Tokenizer
function text.tokenizer(text) end

---@class WordPieceOptions
---@field lowercase? boolean true when nil.
---@field strip_accents? boolean As lowercase when nil.
---@field clean? boolean Control characters go; true when nil.
---@field ideographs? boolean Each is a word; true when nil.
---@field unknown? string "[UNK]" when nil.
---@field prefix? string Of what continues a word; "##" when nil.
---@field longest? integer Characters of a word that is looked at; 100 when nil.
---@field max? integer Cut to so many ids.

---From the text of a vocab.txt, as BERT has it.
---@param vocabulary string
---@param options? WordPieceOptions
---@return Tokenizer
function text.wordpiece(vocabulary, options) end

---From the texts of a vocab.json and a merges.txt, as GPT-2 has them.
---@param vocabulary string
---@param merges string
---@param options? { added?: string[], add_prefix_space?: boolean, unknown?: string, max?: integer }
---@return Tokenizer
function text.bpe(vocabulary, merges, options) end

---Ids of a text or a pair, with the tokens around that the model was trained with, and the kind of each.
---@param text string
---@param pair? string
---@param max? integer
---@return integer[] ids
---@return integer[] types
function Tokenizer:encode(text, pair, max) end

---Texts as tensors INT64 { texts, longest }.
---@param texts (string|string[])[]
---@param options? { max?: integer, length?: integer }
---@return HostTensor ids
---@return HostTensor mask
---@return HostTensor types
function Tokenizer:batch(texts, options) end

---The text of ids.
---@param ids integer[]
---@return string
function Tokenizer:decode(ids) end

---The id of a token.
---@param token string
---@return integer?
function Tokenizer:id(token) end

---The token of an id.
---@param id integer
---@return string?
function Tokenizer:token(id) end

---How many ids there are.
---@return integer
function Tokenizer:size() end

---@class tide.base64
local base64 = {}

---The text of bytes.
---@param bytes string
---@return string
function base64.encode(bytes) end

---The bytes of a text; nil and a message when it is none.
---@param text string
---@return string?
---@return string? message
function base64.decode(text) end

---@class tide.json
---@field null any What null is read as.
local json = {}

---The JSON text of a value; nil and a message for what JSON has no form for.
---@param value any
---@return string?
---@return string? message
function json.encode(value) end

---The value of a JSON text; nil and a message that names the place.
---@param text string
---@return any
---@return string? message
function json.decode(text) end

---@class tide.msgpack
local msgpack = {}

---The MessagePack bytes of a value; raises what has no form.
---@param value any
---@return string
function msgpack.encode(value) end

---The value of MessagePack bytes; raises what is none.
---@param bytes string
---@return any
function msgpack.decode(bytes) end

---@class tide
---@field image tide.image Pictures, done here in the worker.
---@field text tide.text Tokenizers.
---@field base64 tide.base64
---@field null any MessagePack's nil, in tables.
---@field json tide.json
---@field msgpack tide.msgpack
local tide = {}

---A tensor for the device: numbers in nested or flat tables, the bytes as a string, zeros when data is nil; or, as the
---only argument, a host tensor or a map as the wire has it.
---@param datatype Datatype|HostTensor|WireTensor
---@param shape? integer[]
---@param data? table|string
---@return Tensor
function tide.tensor(datatype, shape, data) end

---A tensor here, to be filled. A large one goes to the device without a copy.
---@param datatype Datatype
---@param shape integer[]
---@return HostTensor
function tide.zeros(datatype, shape) end

---Several tensors with one wait.
---@param ... Tensor
---@return HostTensor ...
function tide.get(...) end

---The device may begin with the calls so far; the handler goes on.
function tide.flush() end

---Until the calls so far have run; nothing is brought back.
function tide.wait() end

---Tensors one behind the other.
---@param list Operand[]
---@param axis? integer 0 when nil.
---@return Tensor
function tide.concat(list, axis) end

---Tensors of one shape as the slices of a new axis.
---@param list Operand[]
---@param axis? integer 0 when nil.
---@return Tensor
function tide.stack(list, axis) end

---Elements of a where condition holds, else of b.
---@param condition Tensor
---@param a Operand
---@param b Operand
---@return Tensor
function tide.where(condition, a, b) end

---Products and sums over named axes: tide.einsum("bij,bjk->bik", a, b).
---@param equation string
---@param ... Operand
---@return Tensor
function tide.einsum(equation, ...) end

---Numbers from `from` up to but not with `to`.
---@param from number
---@param to number
---@param step? number 1 when nil.
---@param datatype? Datatype INT64 when nil.
---@return Tensor
function tide.range(from, to, step, datatype) end

---A tensor of that shape, every element `value`; on the device only.
---@param datatype Datatype
---@param shape integer[]
---@param value number
---@return Tensor
function tide.full(datatype, shape, value) end

---A string that goes out as MessagePack bin.
---@param bytes string
---@return table
function tide.bin(bytes) end

---A table that goes out as a map, even when it is empty.
---@param table table
---@return table
function tide.map(table) end

---A table that goes out as an array, even when it is empty.
---@param table table
---@return table
function tide.array(table) end

---Seconds on a clock that never goes back; ctx.deadline is on it.
---@return number
function tide.now() end

---A line in the function's log; print is the same.
---@param ... any
function tide.log(...) end

---Raises an error that the client gets with that code.
---@param code ErrorCode
---@param message? string
function tide.error(code, message) end

return tide
