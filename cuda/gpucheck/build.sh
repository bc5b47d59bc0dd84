#!/usr/bin/env bash
# Builds what run.sh runs on a machine with a GPU and without Go: the programs sigmaz and gpucheck, tests and golden
# files, packed into cuda/gpucheck/bin/gpucheck.tar.xz, which git ignores.
#
#	bash cuda/gpucheck/build.sh [--golden DIR] [--out FILE]
#
#	--golden DIR    carry the golden files of a folder too, of every kind
#	--out FILE      the archive, where it is to be another
#
# Needs xz, and what the default build needs: Go, a C compiler, cuda.h and a libcuda.so to link against
# (docs/cuda-build.md).
# What is built runs on any x86-64 Linux whose C library is not older than this machine's. The archive and the files of
# the repository, which travel with it, may have LIMIT MiB together (default 64).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
archive=$here/bin/gpucheck.tar.xz golden=

usage() {
	echo "build.sh: $1; expected [--golden DIR] [--out FILE]" >&2
	exit 2
}
while (($#)); do
	case $1 in
	--golden | --out)
		[[ -n ${2-} ]] || usage "$1 needs a value"
		if [[ $1 == --golden ]]; then golden=$2; else archive=$2; fi
		shift
		;;
	*) usage "unknown argument $1" ;;
	esac
	shift
done
if [[ -n $golden ]]; then
	compgen -G "$golden/*.safetensors" >/dev/null ||
		usage "--golden $golden: there is no golden file, *.safetensors, in this folder"
	golden=$(cd "$golden" && pwd)
fi
command -v xz >/dev/null || {
	echo "build.sh: xz is missing, which packs the archive: install it (on Debian, xz-utils)" >&2
	exit 2
}
mkdir -p "$(dirname "$archive")"
archive=$(cd "$(dirname "$archive")" && pwd)/$(basename "$archive")

bin=$(mktemp -d)
trap 'rm -rf "$bin" "$archive.tmp"' EXIT
cd "$root"

mkdir -p "$bin/kernels/ptx" "$bin/cuda" "$bin/networks"
strip=-ldflags="-s -w"
go build "$strip" -o "$bin/" ./cmd/sigmaz
CGO_ENABLED=0 go build -tags nocuda "$strip" -o "$bin/" ./cmd/internal/gpucheck # it starts where no driver is, and says so
# A test runs in a folder that looks to it like its package's own. The tests of a GPU are those of files that are built
# with CUDA alone.
tests() { # PACKAGE FOLDER
	go test -c "$strip" -o "$bin/$2/${1##*/}.test" "$1"
	grep -lE '^//go:build cgo && !nocuda$' "$1"/*_test.go | xargs sed -nE 's/^func (Test\w+)\(.*/\1/p' >"$bin/$2/tests"
}
tests ./kernels kernels
tests ./cuda cuda
tests ./train networks
cp go.mod "$bin/" # from where golden files are found
cp kernels/ptx/sum.ptx "$bin/kernels/ptx/"
for of in golden score_sde diffusers; do
	mkdir -p "$bin/model/testdata/$of"
	cp model/testdata/$of/*.safetensors "$bin/model/testdata/$of/"
done
cp model/testdata/golden/golden.py "$bin/model/testdata/golden/"
cp "$here/ncsnv2.py" "$bin/"
if [[ -n $golden ]]; then
	mkdir "$bin/golden"
	find -L "$golden" -maxdepth 1 -type f -exec cp -t "$bin/golden" {} +
	chmod -R u+w "$bin/golden"
fi
{
	git rev-parse HEAD 2>/dev/null || echo "an unknown commit"
	if [[ -n $(git status --porcelain 2>/dev/null) ]]; then echo "with changes"; fi
	go version
} >"$bin/version"

# The programs share most of what they hold, kernels above all: the dictionary spans them.
tar -C "$bin" -c . | xz "--lzma2=preset=${XZ_LEVEL:-6},dict=128MiB" -T1 >"$archive.tmp"
mv "$archive.tmp" "$archive"

kib() { du -k --apparent-size -s "$1" | cut -f1; }
(cd "$bin" && for f in sigmaz gpucheck */*.test model/testdata/* golden; do
	[[ ! -e $f ]] || printf '%7d KiB  %s\n' "$(kib "$f")" "$f"
done)
tree=$(git ls-files -coz --exclude-standard 2>/dev/null | du -ck --apparent-size --files0-from=- | tail -1 | cut -f1)
packed=$(kib "$archive")
printf '%7d KiB  %s\n%7d KiB  the files of the repository\n' "$packed" "$archive" "$tree"
limit=$((${LIMIT:-64} * 1024))
if ((packed + tree > limit)); then
	echo "build.sh: archive and repository have $(((packed + tree) / 1024)) MiB, and $((limit / 1024)) may travel:" \
		"$([[ -n $golden ]] && echo "leave --golden out" || echo "move large files out of the repository")" >&2
	exit 1
fi
