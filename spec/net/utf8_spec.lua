local utf8 = require "tidepool.utf8"

describe("utf8", function()
  it("takes what is UTF-8", function()
    for _, text in ipairs { "", "a", "plain ASCII text", "é", "日本語", "😀", "\244\143\191\191", "ab\0c" } do
      assert.is_true(utf8.is_valid(text))
    end
  end)

  it("refuses what is not, wherever it stands", function()
    for _, bytes in ipairs {
      "\128", "\191", "\192\128", "\193\191", "\224\128\128", "\237\160\128", "\240\128\128\128", "\244\144\128\128",
      "\245\128\128\128", "\255", "\195", "\226\130", "\240\159\152",
    } do
      for before = 0, 5 do
        assert.is_false(utf8.is_valid(("x"):rep(before) .. bytes))
        assert.is_false(utf8.is_valid(("x"):rep(before) .. bytes .. "y"))
      end
    end
  end)
end)
