local output = require "tidepool.cli.output"

describe("cli output", function()
  it("aligns words to the left and numbers to the right", function()
    assert.equal("NAME  COUNT    BYTES  STATE\n"
      .. "a         3  1.5 KiB  host\n"
      .. "long    120      2 B  2 of 3", output.rows({ "NAME", "COUNT", "BYTES", "STATE" },
      { { "a", 3, "1.5 KiB", "host" }, { "long", 120, "2 B", "2 of 3" } }))
    assert.equal("NAME  COUNT", output.rows({ "NAME", "COUNT" }, {}))
  end)

  it("writes bytes and times for people", function()
    assert.same({ "0 B", "1023 B", "1.0 KiB", "3.0 MiB", "2.5 GiB" }, { output.bytes(0), output.bytes(1023),
      output.bytes(1024), output.bytes(3 * 2 ^ 20), output.bytes(2.5 * 2 ^ 30) })
    assert.same({ "85 µs", "1.52 ms", "3.1 s" },
      { output.duration(85), output.duration(1520), output.duration(3.1e6) })
  end)

  it("writes any value", function()
    assert.equal("plain", output.value "plain")
    assert.equal("3", output.value(3))
    assert.equal([[
{
  "empty": [],
  "list": [1,2],
  "name": "x",
  "rows": [
    {
      "a": 1
    },
    {
      "b": {"hex":"00"}
    }
  ]
}]], (output.value { name = "x", list = { 1, 2 }, rows = { { a = 1 }, { b = "\0" } }, empty = {} }
      :gsub('{\n +"hex": "00"\n +}', '{"hex":"00"}')))
  end)
end)
