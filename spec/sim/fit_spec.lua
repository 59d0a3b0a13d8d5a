-- What a trace is like, of numbers that can be reckoned by hand.
local fit = require "tidepool.sim.fit"

describe("fit", function()
  it("reckons means, spreads and minutes", function()
    local figures = fit.of({ { 1, 3 }, { 4, 4 }, { 10, 14 } }, { 0, 0.5, 1 })
    assert.equal(3, figures.functions)
    assert.equal(6, figures.mean)
    assert.same({ 2, 4, 12 }, figures.means)
    -- Variances 1, 0 and 4 over means 2, 4 and 12.
    assert.same({ 0, 4 / 12, 0.5 }, figures.spreads)
    assert.same({ 15 / 18, 21 / 18 }, figures.minutes)
    assert.near(3 / 18, figures.variation, 1e-9)
  end)

  it("reads quantiles between neighbours, and a function that is never called", function()
    local figures = fit.of({ { 0, 0 }, { 2, 2 } }, { 0.25 })
    assert.same({ 0.5 }, figures.means)
    assert.same({ 0 }, figures.spreads)
  end)
end)
