#!/bin/sh
# Installs the Debian packages the project needs, those that are missing; says what it does.
# Usage: deps.sh [bench]    bench: also the peers that `make bench` measures against.
set -eu

pg=${PG_MAJOR:-15}
packages="g++ clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cmake make ninja-build pkg-config
  python3 perl postgresql-$pg postgresql-server-dev-$pg postgresql-$pg-pgtap libipc-run-perl
  libhwy-dev libcbor-dev libsodium-dev libcurl4-openssl-dev nlohmann-json3-dev librust-blake3-dev libgtest-dev"
# Certificates and signed requests of the tests of remote stores.
packages="$packages openssl curl"
# npm fetches what those tests hold our formats against, and the larger real data set of the benchmark.
# Node's own packages bring it along.
command -v node >/dev/null || packages="$packages nodejs"
command -v npm >/dev/null || packages="$packages npm"
[ "$(dpkg --print-architecture)" = amd64 ] && packages="$packages g++-aarch64-linux-gnu"
if [ "${1:-}" = bench ]; then
  packages="$packages libbenchmark-dev libfaiss-dev libhnswlib-dev libpq-dev"
  # Faiss trains with whatever BLAS there is, and the reference one is very slow.
  packages="$packages libopenblas0-pthread"
fi

missing=""
for package in $packages; do
  case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
    *" installed") ;;
    *) missing="$missing $package" ;;
  esac
done
[ -z "$missing" ] && exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps: not root and no sudo; install these packages by hand:$missing" >&2
    exit 1
  fi
  sudo=sudo
fi
echo "deps: installing, which takes a few minutes:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086  # the list is meant to be split
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "deps: done"
