#!/usr/bin/env bash
# Builds the stand-in with the kernels of testdata/ and tries it, and the translator with PTX that it has to refuse.
#
#	bash cuda/sim/test.sh [OUTDIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ $# -ge 1 ]]; then
	out=$1
	mkdir -p "$out"
else
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
fi
data=$out/testdata
mkdir -p "$data"
cp "$here"/testdata/{kernels.ptx,machine.ptx,instructions.txt} "$data"
awk -f "$here/testdata/instructions.awk" "$data/instructions.txt" >"$data/instructions.ptx"
bash "$here/build.sh" --only "$out" "$data"/*.ptx
"${CXX:-g++}" -std=c++17 -O1 -Wall "$here/test.cpp" -o "$out/test" -L"$out" -lcuda -lpthread

failed=0
fail() { echo "FAIL: $*"; failed=1; }
export LD_LIBRARY_PATH=$out
unset "${!SIGMAZ_SIM_@}"
for fault in no-driver no-device old-driver; do
	SIGMAZ_SIM_FAULT=$fault "$out/test" "$data" "$fault" || failed=1
done
for order in forward reverse shuffle; do
	for name in runs machine; do SIGMAZ_SIM_ORDER=$order "$out/test" "$data" $name || failed=1; done
done
# The faults of kernels, which stderr tells of, are meant.
"$out/test" "$data" 2>"$out/stderr" || failed=1
grep -q 'kernel test_missed_barrier' "$out/stderr" || fail "no word of the missed barrier on stderr"
leaks=$(SIGMAZ_SIM_VERBOSE=1 "$out/test" "$data" capture 2>&1)
grep -q 'leak: allocation' <<<"$leaks" || fail "no word of leaks"
untested=$("$out/obj/ptx2c" --untested "$data/instructions.ptx") || fail "not in instructions.txt:"$'\n'"$untested"

# refuse SED-SCRIPT WORDS: kernels.ptx with the change is refused, with a line and these words.
refuse() {
	sed "$1" "$data/kernels.ptx" >"$out/wrong.ptx"
	! cmp -s "$out/wrong.ptx" "$data/kernels.ptx" || fail "nothing was changed by $1"
	if message=$("$out/obj/ptx2c" "$out/wrong.ptx" 2>&1 >/dev/null); then fail "taken: $1"; return; fi
	[[ $message == "$out/wrong.ptx:"+([0-9]):\ *"$2"* ]] || fail "$1: $message"
	[[ $message != *:0:* ]] || fail "no line: $message"
}
shopt -s extglob
refuse '/\.local .*depot/d' 'the name depot is not known'
refuse '/\.shared .* part/d' 'the name part is not known'
refuse 's/\.reg \.f32 %f<4>/.reg .f32 %f<3>/' 'the register %f3 is not declared'
refuse 's/add\.f32 %f3/add.half.f32 %f3/' 'the instruction add.half.f32 is not known'
refuse 's/ld\.global\.f32 %f1, \[%rd5\]/ld.global.wide.f32 %f1, [%rd5]/' 'ld with .wide is not known'
refuse 's/ld\.global\.f32 %f1, \[%rd5\]/ld.global.f128 %f1, [%rd5]/' 'the type .f128 is not known'
refuse 's/%tid\.x/%tid.w/' 'the special register %tid.w is not known'
refuse 's/bra\.uni \$next/bra.uni $last/' 'the label $last is nowhere'
refuse '/ld\.global\.f32 %f1, \[%rd5\]/d' 'the register %f1 is read, but nothing writes it'
refuse 's/ld\.param\.u32 %r1, \[n\]/ld.param.u32 %r1, [m]/' 'the parameter m is not known'
refuse 's/ld\.param\.u32 %r1, \[n\]/ld.param.u64 %rd1, [n]/' 'the parameter n, .u32, is used as .u64'
refuse 's/bar\.sync 0/bar.sync 1/' 'a barrier of a part of the block'
refuse 's/^\.maxntid/.maxntide/' 'the directive .maxntide is not known'
refuse 's/add\.f32 %f3, %f1, %f2/add.f32 %f3, %f1/' '2 operands where 3 are due'
refuse 's/0f3F800000/1065353216/' 'the number 1065353216 as a .f32'
((failed == 0)) || exit 1
echo ok
