local ffi = require "ffi"
local C = require "spec.support.c"("script/ring.h", "base/error.h")

-- Fields of struct ring_control on their cache lines, as 32-bit words.
local PRODUCED, CONSUMED, ASLEEP, CRAMPED = 0, 16, 32, 48

describe("ring", function()
  local memory, words, data, writer, reader, out

  before_each(function()
    -- The control's alignment is lost on the FFI, so it is plain memory here, aligned by hand.
    memory = ffi.new "uint8_t[320]"
    words = ffi.cast("uint32_t *", memory + (-ffi.cast("uintptr_t", memory)) % 64)
    data = ffi.new("uint8_t[?]", C.RING_BYTES)
    writer, reader = ffi.new "struct ring_writer", ffi.new "struct ring_reader"
    out = ffi.new("uint8_t[?]", C.RING_RECORD_MAX)
    local control = ffi.cast("struct ring_control *", words)
    C.ring_writer_create(writer, control, data)
    C.ring_reader_create(reader, control, data)
  end)

  local function header() return ffi.cast("struct ring_record *", out) end

  local function put(kind, bytes, fill)
    local record = C.ring_reserve(writer, kind, 7, bytes)
    if record == nil then return false end
    ffi.fill(ffi.cast("uint8_t *", record) + 16, bytes - 16, fill or 0)
    C.ring_publish(writer)
    return true
  end

  local function fails(pattern)
    assert.equal(-1, C.ring_read(reader, out))
    assert.equal(C.ERR_DATA_LOSS, C.error_last().code)
    assert.matches(pattern, ffi.string(C.error_last().message))
  end

  it("carries records in order, whatever their size, round and round", function()
    local sizes, sent, got = { 16, 17, 100, 4096, C.RING_RECORD_MAX, 48 }, 0, 0
    for round = 1, 400 do
      for i, size in ipairs(sizes) do
        if put(i, size, (round + i) % 251) then sent = sent + 1 end
      end
      for i, size in ipairs(sizes) do
        assert.equal(1, C.ring_read(reader, out))
        assert.equal(i, header().kind)
        assert.equal(7, header().request)
        assert.equal(math.ceil(size / 16) * 16, header().bytes)
        for at = 16, size - 1, 61 do assert.equal((round + i) % 251, out[at]) end
        got = got + 1
      end
      assert.equal(0, C.ring_read(reader, out))
      C.ring_release(reader)
    end
    assert.equal(2400, sent)
    assert.equal(sent, got)
  end)

  it("refuses what has no room, and has room again once it is released", function()
    local count = 0
    while put(1, 4096) do count = count + 1 end
    assert.equal(C.RING_BYTES / 4096, count)
    assert.equal(1, C.ring_read(reader, out))
    assert.is_false(put(1, 4096))
    assert.is_false(C.ring_ask_room(writer, 4096))
    assert.is_true(C.ring_release(reader))
    assert.is_true(put(1, 4096))
    assert.is_false(C.ring_release(reader))
  end)

  it("shows nothing before it is published", function()
    assert.is_true(C.ring_reserve(writer, 1, 0, 32) ~= nil)
    assert.equal(0, C.ring_read(reader, out))
    C.ring_publish(writer)
    assert.equal(1, C.ring_read(reader, out))
  end)

  it("asks for one wake a sleep", function()
    assert.is_false(C.ring_must_wake(writer))
    assert.is_false(C.ring_ask_wake(reader))
    put(1, 16)
    assert.is_true(C.ring_must_wake(writer))
    assert.is_false(C.ring_must_wake(writer))
    assert.is_true(C.ring_ask_wake(reader))
    C.ring_stay_awake(reader)
    assert.is_false(C.ring_must_wake(writer))
  end)

  it("takes no position that is further on than the ring is long", function()
    for _, position in ipairs { C.RING_BYTES + 16, 2 ^ 31, 2 ^ 32 - 16 } do
      words[PRODUCED] = position
      fails "position"
      reader.limit = reader.read
    end
  end)

  it("takes no position between units", function()
    words[PRODUCED] = 24
    fails "position"
  end)

  it("takes no record that is longer than what is published, than the most, or than the ring's end", function()
    for _, bytes in ipairs { 0, 8, 15, 17, 48, C.RING_RECORD_MAX + 16, 2 ^ 31, 2 ^ 32 - 16 } do
      put(3, 32)
      ffi.cast("struct ring_record *", data).bytes = bytes
      fails "record of"
      reader.limit, reader.read = 0, 0
      words[PRODUCED], writer.written, writer.published, writer.sequence = 0, 0, 0, 0
    end
    words[PRODUCED], reader.read, reader.limit = C.RING_BYTES + 64, C.RING_BYTES - 32, C.RING_BYTES - 32
    local last = ffi.cast("struct ring_record *", data + C.RING_BYTES - 32)
    last.bytes, last.kind, last.sequence = 96, 1, 0
    fails "record of 96"
  end)

  it("takes no record twice, none left out", function()
    put(1, 16)
    put(1, 16)
    ffi.cast("struct ring_record *", data + 16).sequence = 0
    assert.equal(1, C.ring_read(reader, out))
    fails "record 0 where 1 is due"
  end)

  it("gives a hostile consumer no room to be overwritten beyond the ring", function()
    words[CONSUMED] = 4096
    assert.is_false(put(1, 16))
    words[CONSUMED] = 0
    assert.is_true(put(1, 16))
  end)

  it("has words on lines of their own", function()
    C.ring_ask_wake(reader)
    C.ring_ask_room(writer, 16)
    assert.equal(1, words[ASLEEP])
    assert.equal(1, words[CRAMPED])
  end)
end)
