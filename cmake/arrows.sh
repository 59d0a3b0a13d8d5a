#!/bin/sh
# arrows.sh FOLDER NAME USES...: fail when a file of FOLDER includes a header of a folder that is not NAME or in USES.
folder=$1
shift
allowed=$(echo "$@" | tr ' ' '|')
bad=$(grep -nE '^#include "[a-z]+/' -r "$folder" --include='*.[ch]' --include='*.cu' --include='*.cuh' |
  grep -vE "#include \"($allowed)/")
[ -z "$bad" ] && exit 0
echo "core/$1 may include only: $*" >&2
echo "$bad" >&2
exit 1
