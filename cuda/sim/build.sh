#!/usr/bin/env bash
# Builds the stand-in driver: OUTDIR/libcuda.so.1 (and libcuda.so for the linker), with the kernels of kernels/*.cu and
# cuda/testdata/*.cu compiled for the host. What has not changed is not compiled again.
#
#	bash cuda/sim/build.sh OUTDIR [more.cu ...]
#	bash cuda/sim/build.sh --only OUTDIR some.cu ...      without kernels/ and cuda/testdata/
#
# Needs g++ and binutils. CXX names another compiler; SIGMAZ_SIM_CHECKS=0 leaves out the checks of array indices,
# alignment and overflow in kernels.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
only=
[[ ${1-} == --only ]] && { only=1; shift; }
[[ ${1-} == -o ]] && shift
[[ $# -ge 1 ]] || { echo "usage: build.sh OUTDIR [more.cu ...]" >&2; exit 2; }
mkdir -p "$1/obj"
out=$(cd "$1" && pwd)
shift
obj=$out/obj
cxx=${CXX:-g++}

exec 9>"$obj/lock" # two builds at once: the second finds everything done
flock 9

base=(-std=c++17 -O2 -g1 -fPIC -fvisibility=hidden -ffp-contract=off -fno-strict-aliasing -Wall -Wno-unknown-pragmas)
kernel=("${base[@]}" -O3 -DSIGMAZ_SIM -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-asynchronous-unwind-tables -fstack-clash-protection
	-Wno-unused-function -Wno-unused-variable -I"$here" -I"$root/kernels")
if [[ ${SIGMAZ_SIM_CHECKS-1} != 0 ]]; then
	kernel+=(-fsanitize=bounds,alignment,integer-divide-by-zero,signed-integer-overflow -fno-sanitize-recover=all)
fi
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

compile_kernel() { # compile_kernel SOURCE OBJECT KEY UNIT
	local source=$1 object=$2 unit=$4 wrapper=${2%.o}.cpp
	"$cxx" "${kernel[@]}" -DSIM_SCAN -E -x c++ "$source" -o "$object.ii"
	{
		printf '#include "sim.h"\n#include "register.h"\nnamespace {\n#include "%s"\n}\nSIM_SHARED(%s)\n' "$source" "$unit"
		"$obj/scan" <"$object.ii" | while read -r name fibers; do
			printf 'SIM_KERNEL(%s, %s, %s)\n' "$name" "$unit" "$fibers"
		done
	} >"$wrapper"
	"$cxx" "${kernel[@]}" -DSIM_FILE="\"$(basename "$source")\"" -c "$wrapper" -o "$object.tmp"
	# Uninitialised variables are the kernels' shared memory. In a section with a name of its own they can be found.
	objcopy --rename-section ".bss=sim_shared_$unit,alloc,load,data,contents" "$object.tmp" "$object"
	rm -f "$object.tmp" "$object.ii"
	printf '%s' "$3" >"$object.key"
}

objects=()
files=("$here/scan.cpp")
k=$(key scan)
if stale "$obj/scan" "$k"; then
	"$cxx" -std=c++17 -O1 "$here/scan.cpp" -o "$obj/scan"
	printf '%s' "$k" >"$obj/scan.key"
fi
for name in driver memory ptx cell; do
	files=("$here/$name.cpp" "$here"/*.h "$here"/*.inc)
	k=$(key "${base[@]}")
	objects+=("$obj/$name.o")
	if stale "$obj/$name.o" "$k"; then run compile "$here/$name.cpp" "$obj/$name.o" "$k" "${base[@]}"; fi
done
shopt -s nullglob
sources=("$@")
[[ $only ]] || sources=("$root"/kernels/*.cu "$root"/cuda/testdata/*.cu "$@")
for source in "${sources[@]}"; do
	source=$(realpath "$source")
	unit=$(basename "$source" .cu)_$(printf %s "$(dirname "$source")" | cksum | cut -d' ' -f1)
	unit=${unit//[^a-zA-Z0-9_]/_}
	files=("$source" "$here/sim.h" "$here/cell.h" "$here/register.h" "$here/scan.cpp" "$root"/kernels/*.cuh "$(dirname "$source")"/*.cuh)
	k=$(key "${kernel[@]}" "$source")
	objects+=("$obj/$unit.o")
	if stale "$obj/$unit.o" "$k"; then run compile_kernel "$source" "$obj/$unit.o" "$k" "$unit"; fi
done
finish

k=$(printf '%s\n' "${objects[@]}" | cat - "${objects[@]/%/.key}" | sha256sum | cut -d' ' -f1)
if stale "$out/libcuda.so.1" "$k"; then
	echo '{ global: cu*; local: *; };' >"$obj/exports"
	"$cxx" -shared -Wl,--version-script="$obj/exports" -Wl,-soname,libcuda.so.1 -Wl,-z,noexecstack -Wl,--no-undefined -o "$out/libcuda.so.1.tmp" "${objects[@]}" -lm -lpthread
	mv "$out/libcuda.so.1.tmp" "$out/libcuda.so.1" # programs that run keep the old one
	printf '%s' "$k" >"$out/libcuda.so.1.key"
fi
ln -sfn libcuda.so.1 "$out/libcuda.so"
