#!/usr/bin/env bash
# Checks and measures a GPU with what build.sh has packed. Needs bash, the usual tools, xz or Python, and the NVIDIA
# driver; no Go.
#
#	bash cuda/gpucheck/run.sh [--required] [--budget SECONDS] [--out DIR]     README.md explains, -h lists all flags
#
# What it does is in the program gpucheck of the archive, cmd/internal/gpucheck: this unpacks and starts it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
archive=${GPUCHECK_ARCHIVE:-$here/bin/gpucheck.tar.xz}
[[ -f $archive ]] || {
	echo "run.sh: $archive is missing: run build.sh on a machine with Go and bring it here" >&2
	exit 2
}
work=$(cd "$(mktemp -d)" && pwd -P)
# unpack writes the archive's files, by Python where there is no xz.
unpack() {
	if command -v xz >/dev/null; then
		xz -dc "$archive"
	else
		python3 -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$archive"
	fi | tar -C "$work" -x
}
unpack || {
	rm -rf "$work"
	echo "run.sh: $archive cannot be unpacked: run build.sh again and bring it here whole" >&2
	exit 2
}
# In place of this shell: signals reach it. It removes the folder that the variable names.
GPUCHECK_UNPACKED=$work exec "$work/gpucheck" "$@"
