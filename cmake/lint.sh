#!/bin/sh
# Formatting of the C sources and luacheck of the Lua ones; prints what is wrong, changes nothing.
set -e
git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cc' | xargs -r clang-format --dry-run -Werror
git ls-files '*.lua' | xargs -r luacheck -q
