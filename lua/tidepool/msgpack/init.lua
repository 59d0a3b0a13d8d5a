-- MessagePack for LuaJIT, over FFI buffers. Little-endian hosts, as the wire's tensors are.
--
--   encode(value) -> string              raises on what has no MessagePack form
--   encode_raw(value, on_foreign) -> pointer, bytes: the same, to be copied before the next call of encode;
--                                 on_foreign(value) gives what goes out for userdata and cdata that have no form
--   decode(data, bytes, offset, on_bin)  -> value, offset after it; raises on bytes that are malformed or cut off
--
-- Lua to MessagePack: whole numbers that a double holds exactly become integers, the others float64; int64_t and
-- uint64_t keep all 64 bits; strings become str, or bin when they are not UTF-8; bin(s) becomes bin; a table whose keys
-- are 1…n becomes an array, any other a map, the empty one an array unless made by map{}; null becomes nil.
-- MessagePack to Lua: str and bin become strings; integers beyond 2^53 become int64_t or uint64_t; nil inside an array
-- or a map becomes null, so that nothing shifts; an empty map answers is_map, so that it goes back as one.
local decode = require "tidepool.msgpack.decode"
local encode = require "tidepool.msgpack.encode"
local values = require "tidepool.msgpack.values"

return {
  encode = encode.encode, encode_raw = encode.encode_raw, decode = decode.decode,
  null = values.null, bin = values.bin, is_bin = values.is_bin, ext = values.ext, is_ext = values.is_ext,
  map = values.map, is_map = values.is_map, array = values.array,
}
