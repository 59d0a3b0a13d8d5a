-- Runs busted inside spec-runner: `spec-runner spec/support/run.lua [busted options] [spec files]`.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
  .. ";/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
package.cpath = package.cpath .. ";/usr/lib/x86_64-linux-gnu/lua/5.1/?.so"

-- A sanitizer that complains at the end leaves no time to flush.
io.stdout:setvbuf "line"

require "spec.support.temporary"

-- .busted names an interpreter for those who type `busted`; this one already runs.
table.insert(arg, 1, "--ignore-lua")
require "busted.runner" { standalone = false }
