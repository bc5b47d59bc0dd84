#!/usr/bin/env bash
# Builds the stand-in driver: OUTDIR/libcuda.so.1 (and libcuda.so for the linker), with the kernels of kernels/ptx/*.ptx
# translated to C++ and compiled for the host, and beside it the stand-in for NCCL, OUTDIR/libnccl.so.2. What has not changed
# is not compiled again.
#
#	bash cuda/sim/build.sh OUTDIR [more.ptx ...]
#	bash cuda/sim/build.sh --only OUTDIR some.ptx ...      without kernels/ptx/
#
# Needs g++. CXX names another compiler. SIGMAZ_SIM_APPROX=1 makes the approximate instructions inexact (emu.h).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
only=
[[ ${1-} == --only ]] && { only=1; shift; }
[[ $# -ge 1 ]] || { echo "usage: build.sh [--only] OUTDIR [more.ptx ...]" >&2; exit 2; }
mkdir -p "$1/obj"
out=$(cd "$1" && pwd)
shift
obj=$out/obj
cxx=${CXX:-g++}

exec 9>"$obj/lock" # two builds at once: the second finds everything done
flock 9

base=(-std=c++17 -O2 -g1 -fPIC -fvisibility=hidden -fno-strict-aliasing -Wall -Wextra)
# Nothing is contracted: whether a*b+c is rounded once or twice is what the PTX says. A stack that overflows is touched
# page by page, so that it meets its guard.
kernel=(-std=c++17 -O1 -fPIC -fvisibility=hidden -ffp-contract=off -fno-strict-aliasing -fno-exceptions -fno-rtti
	-fno-threadsafe-statics -fno-asynchronous-unwind-tables -fstack-clash-protection -Wall -Wno-unused -I"$here")
[[ ${SIGMAZ_SIM_APPROX-0} == 0 ]] || kernel+=(-DPTX_APPROX)
# fmaf is one instruction where the processor has it, and then exactly as the C library's.
if grep -qw fma /proc/cpuinfo 2>/dev/null && grep -qw avx2 /proc/cpuinfo; then kernel+=(-mavx2 -mfma); fi

# stale FILE KEY: whether FILE is missing or was made from something else than KEY; notes the key.
stale() {
	[[ -s $1 && -f $1.key && $(<"$1.key") == "$2" ]] && return 1
	rm -f "$1.key"
}
# run COMMAND...: in the background, two at a time; a failure stops the build.
jobs=()
run() {
	if ((${#jobs[@]} >= 2)); then wait "${jobs[0]}"; jobs=("${jobs[@]:1}"); fi
	"$@" &
	jobs+=($!)
}
finish() { for j in "${jobs[@]}"; do wait "$j"; done; jobs=(); }
key() { { printf '%s\n' "$@"; "$cxx" --version | head -1; cat "${files[@]}"; } | sha256sum | cut -d' ' -f1; }

compile() { # compile SOURCE OBJECT KEY FLAGS...
	"$cxx" "${@:4}" -c "$1" -o "$2"
	printf '%s' "$3" >"$2.key"
}

compile_kernels() { # compile_kernels PTX OBJECT KEY
	"$obj/ptx2c" "$1" >"${2%.o}.cpp"
	"$cxx" "${kernel[@]}" -c "${2%.o}.cpp" -o "$2"
	printf '%s' "$3" >"$2.key"
}

objects=()
files=("$here"/{ptx2c.cpp,instructions.inc,cell.h})
k=$(key)
if stale "$obj/ptx2c" "$k"; then
	"$cxx" -std=c++17 -O1 -Wall -Wextra "$here/ptx2c.cpp" -o "$obj/ptx2c"
	printf '%s' "$k" >"$obj/ptx2c.key"
fi
shopt -s nullglob
sources=("$@")
[[ $only ]] || sources=("$root"/kernels/ptx/*.ptx "$@")
mapfile -t sources < <(stat -L -c '%s %n' "${sources[@]}" | sort -rn | cut -d' ' -f2-) # the longest first
for source in "${sources[@]}"; do
	source=$(realpath "$source")
	unit=$(basename "$source" .ptx)_$(printf %s "$(dirname "$source")" | cksum | cut -d' ' -f1)
	files=("$source" "$here"/{ptx2c.cpp,instructions.inc,emu.h,cell.h})
	k=$(key "${kernel[@]}" "$source")
	objects+=("$obj/$unit.o")
	if stale "$obj/$unit.o" "$k"; then run compile_kernels "$source" "$obj/$unit.o" "$k"; fi
done
for name in driver memory cell race; do
	files=("$here/$name.cpp" "$here"/*.h "$here"/*.inc)
	k=$(key "${base[@]}")
	objects+=("$obj/$name.o")
	if stale "$obj/$name.o" "$k"; then run compile "$here/$name.cpp" "$obj/$name.o" "$k" "${base[@]}"; fi
done
finish

k=$(printf '%s\n' "${objects[@]}" | cat - "${objects[@]/%/.key}" | sha256sum | cut -d' ' -f1)
if stale "$out/libcuda.so.1" "$k"; then
	echo '{ global: cu*; local: *; };' >"$obj/exports"
	"$cxx" -shared -Wl,--version-script="$obj/exports" -Wl,-soname,libcuda.so.1 -Wl,-z,noexecstack -Wl,--no-undefined \
		-o "$out/libcuda.so.1.tmp" "${objects[@]}" -lm -lpthread
	mv "$out/libcuda.so.1.tmp" "$out/libcuda.so.1" # programs that run keep the old one
	printf '%s' "$k" >"$out/libcuda.so.1.key"
fi
ln -sfn libcuda.so.1 "$out/libcuda.so"

files=("$here/nccl.cpp")
k=$(key "${base[@]}")
if stale "$out/libnccl.so.2" "$k"; then
	echo '{ global: nccl*; local: *; };' >"$obj/exports-nccl"
	"$cxx" "${base[@]}" -shared -Wl,--version-script="$obj/exports-nccl" -Wl,-soname,libnccl.so.2 -Wl,-z,noexecstack \
		-Wl,--no-undefined -o "$out/libnccl.so.2.tmp" "$here/nccl.cpp" -L"$out" -lcuda -lpthread -lrt
	mv "$out/libnccl.so.2.tmp" "$out/libnccl.so.2"
	printf '%s' "$k" >"$out/libnccl.so.2.key"
fi
