#!/usr/bin/env bash
# Builds what run.sh runs on a machine with a GPU and without Go: the program sigmaz, tests and golden files, packed
# into cuda/gpucheck/bin/gpucheck.tar.gz, which git ignores.
#
#	bash cuda/gpucheck/build.sh
#
# Needs what the default build needs: Go, a C compiler, cuda.h and a libcuda.so to link against (docs/cuda-build.md).
# What is built runs on any x86-64 Linux whose C library is not older than this machine's. GOLDEN_DIR adds a folder of
# golden files. The archive may have at most LIMIT MiB (default 56).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
archive=$here/bin/gpucheck.tar.gz
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
cd "$root"

mkdir -p "$here/bin" "$bin/kernels/ptx" "$bin/cuda" "$bin/networks" "$bin/model/testdata/golden"
flags=(-trimpath "-ldflags=-s -w")
go build "${flags[@]}" -o "$bin/" ./cmd/sigmaz
# A test runs in a folder that looks to it like its package's own.
go test -c "${flags[@]}" -o "$bin/kernels/kernels.test" ./kernels
go test -c "${flags[@]}" -o "$bin/cuda/cuda.test" ./cuda
go test -c "${flags[@]}" -o "$bin/networks/train.test" ./train
cp go.mod "$bin/" # from where golden files are found
cp kernels/ptx/sum.ptx "$bin/kernels/ptx/"
cp model/testdata/golden/*.safetensors model/testdata/golden/golden.py "$bin/model/testdata/golden/"
if [[ -n ${GOLDEN_DIR-} ]]; then
	mkdir -p "$bin/golden"
	cp "$GOLDEN_DIR"/*.safetensors "$bin/golden/"
	chmod -R u+w "$bin/golden"
fi
{
	git rev-parse HEAD 2>/dev/null || true
	if [[ -n $(git status --porcelain 2>/dev/null) ]]; then echo "with changes"; fi
	go version
} >"$bin/version"

du -sh "$bin"/sigmaz "$bin"/*/*.test | sed "s,$bin/,,"
tar -C "$bin" -c . | gzip -9 >"$archive.tmp"
mv "$archive.tmp" "$archive"
mib=$(du -sm "$archive" | cut -f1)
echo "$archive: $mib MiB"
if ((mib > ${LIMIT:-56})); then
	echo "more than ${LIMIT:-56} MiB" >&2
	exit 1
fi
