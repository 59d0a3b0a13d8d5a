#!/bin/bash
# gpu_carry.sh [FOLDER]: prepares what `make gpu-check` needs on a machine with a GPU that reaches no package archive: the
# Debian packages that Tidepool is built with and their libraries, as .deb files (build/gpu-carry unless told). Carry the
# folder along with the source tree; cmake/gpu_check.sh unpacks it beside the build there. Run on Debian.
set -e
cd "$(dirname "$0")/.." || exit 1
folder=${1:-build/gpu-carry}
# What the machine has its own of: a compiler, CMake, Python.
own='build-essential|ca-certificates|cmake|git|ninja-build|python3.*|clang.*|llvm.*|libclang.*|tarantool|lua-check|luarocks'
packages=$(sed -nE 's/^(build|test) +//p' cmake/packages.txt | grep -vE "^($own)\$")
mkdir -p "$folder"
cd "$folder"
# Everything that they depend on, but for what every Linux has.
base='libc6|libc6-dev|libc-dev-bin|linux-libc-dev|libcrypt.*|gcc.*|g\+\+.*|cpp.*|libgcc.*|libstdc.*|perl.*|debconf.*|dpkg.*|install-info|lua5.*|python3.*|libpython.*|tzdata|media-types|libnsl.*|libtirpc.*|rpcsvc.*|libssl.*|libboost.*|libmsgpack-cxx-dev|lib(gl|x11|xcb|xau|xdmcp|xext|xfixes|xshmfence|xxf86vm|drm|llvm|icu|krb|k5|gssapi|elf|sensors|pciaccess|asan|tsan|lsan|ubsan|itm|selinux|mount|blkid|expat|glib|pcre|keyutils|com-err|acl|bsd|edit|ffi|md|z3|sqlite|bz2|lzma|zstd|tinfo|readline|xml2|gomp|atomic|quadmath|vulkan|systemd|udev).*|mesa.*|mount|tar|readline-common|util-linux.*|sensible-utils|ucf|x11.*|shared-mime.*|file'
apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $packages |
  grep -E '^[a-z0-9]' | grep -vE ":|^($base)\$" | sort -u >wanted.txt
# shellcheck disable=SC2046
apt-get download -q $(cat wanted.txt) >/dev/null
du -sh . | sed 's/\t.*/ in '"$(ls ./*.deb | wc -l)"' packages/'
