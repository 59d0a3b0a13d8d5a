#!/bin/sh
# setup.sh build|test: installs the Debian packages of cmake/packages.txt that this machine lacks; with `test` also makes
# build/venv with the Python packages of cmake/python.txt. Uses the network only when something is missing.
set -e
cd "$(dirname "$0")/.."
groups=build
[ "$1" = test ] && groups='build|test'

# The packages of these groups that are not installed, one a line.
missing() {
  sed -nE "s/^($groups) +//p" cmake/packages.txt | while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
  done
}

install() {
  command -v dpkg-query >/dev/null || {
    echo "setup: not a Debian system; install what cmake/packages.txt lists by hand" >&2
    return 0
  }
  packages=$(missing)
  [ -z "$packages" ] && return
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  [ -z "$as_root" ] || command -v sudo >/dev/null || {
    echo "setup: you are not root and there is no sudo; have somebody install:" $packages >&2
    exit 1
  }
  echo "setup: installing" $packages
  {
    $as_root apt-get update -q &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages
  } || {
    echo "setup: apt-get failed, see above; these packages are needed:" $packages >&2
    exit 1
  }
}

# build/venv, made again when python.txt changes.
venv() {
  cmp -s cmake/python.txt build/venv/installed.txt && return
  rm -rf build/venv
  mkdir -p build
  python3 -m venv build/venv
  build/venv/bin/pip install --quiet --disable-pip-version-check -r cmake/python.txt
  cp cmake/python.txt build/venv/installed.txt
}

install
[ "$1" = test ] && venv
exit 0
