-- A seeded generator: `random = require "spec.support.random"(seed)`; random(n) is an integer in 1 … n.
return function(seed)
  local state = seed
  return function(n)
    -- Park and Miller's minimal standard; products stay below 2^53.
    state = state * 48271 % 2147483647
    return state % n + 1
  end
end
