#!/usr/bin/env bash
# Builds the stand-in with the kernels of testdata/ and tries it.
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
bash "$here/build.sh" --only "$out" "$here"/testdata/*.cu
"${CXX:-g++}" -std=c++17 -O1 -Wall "$here/test.cpp" -o "$out/test" -L"$out" -lcuda -lpthread

export LD_LIBRARY_PATH=$out
unset SIGMAZ_SIM_FAULT SIGMAZ_SIM_ORDER SIGMAZ_SIM_SEED SIGMAZ_SIM_VERBOSE SIGMAZ_SIM_LAZY
failed=0
for fault in no-driver no-device old-driver; do
	SIGMAZ_SIM_FAULT=$fault "$out/test" "$here/testdata/test.ptx" "$fault" || failed=1
done
for order in forward reverse shuffle; do
	SIGMAZ_SIM_ORDER=$order "$out/test" "$here/testdata/test.ptx" runs || failed=1
done
# The faults of kernels, which stderr tells of, are meant.
"$out/test" "$here/testdata/test.ptx" 2>"$out/stderr" || failed=1
grep -q 'kernel test_missed_barrier' "$out/stderr" || { echo "FAIL: no word of the missed barrier on stderr"; failed=1; }
leaks=$(SIGMAZ_SIM_VERBOSE=1 "$out/test" "$here/testdata/test.ptx" capture 2>&1)
grep -q 'leak: allocation' <<<"$leaks" || { echo "FAIL: no word of leaks"; failed=1; }
((failed == 0)) || exit 1
echo ok
