-- Debian's lua-mpack, loaded once a process: it does not bear being loaded anew for each spec file.
local registry = debug.getregistry()
registry.spec_mpack = registry.spec_mpack or require "mpack"
return registry.spec_mpack
