#!/usr/bin/env bash
# Checks and measures a GPU with what build.sh has packed. Needs bash, the usual tools and the NVIDIA driver; no Go.
#
#	bash cuda/gpucheck/build.sh                  # where Go is
#	bash cuda/gpucheck/run.sh [--required]       # where the GPU is
#
#	--required      a GPU is promised: fail when there is none, or when a part marked with * is missing
#	--only LIST     these parts alone, by commas: all together may take 15 minutes, half of them sanitizer and pytorch
#	--out DIR       where to write (default: $OUT, or else ./gpucheck-out)
#
# Parts, in this order:
#
#	device *        card, driver, what sigmaz calls it
#	sanitizer       compute-sanitizer's memcheck and racecheck on a part of the conformance cases, where it is installed
#	driver *        tests of package cuda
#	conformance *   every kernel against its reference
#	golden *        networks against golden files, against Gorgonia's own machine, 50 training steps against the CPU
#	bench *         sigmaz bench -gpu
#	pytorch         the original network in PyTorch at the same sizes (ncsnv2.py), where PyTorch has CUDA
#	train *         a short training run and samples from it, with pictures
#
# DIR gets report.md, log.txt, bench.json, pytorch.json and the pictures. A part that fails makes the exit code 1; the
# others are run all the same. On the stand-in driver of cuda/sim everything is small and nothing is timed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
archive=$here/bin/gpucheck.tar.gz
parts=(device sanitizer driver conformance golden bench pytorch train)
required=0 only='' out=${OUT:-gpucheck-out}

usage() {
	echo "run.sh: $1; expected [--required] [--only PART,...] [--out DIR], parts: ${parts[*]}" >&2
	exit 2
}
while (($#)); do
	case $1 in
	--required) required=1 ;;
	--only | --out)
		[[ $# -ge 2 ]] || usage "$1 needs a value"
		if [[ $1 == --only ]]; then only=$2; else out=$2; fi
		shift
		;;
	*) usage "unknown argument $1" ;;
	esac
	shift
done
for p in ${only//,/ }; do
	[[ " ${parts[*]} " == *" $p "* ]] || usage "there is no part $p"
done
[[ -f $archive ]] || {
	echo "run.sh: $archive is missing: run build.sh on a machine with Go and bring it here" >&2
	exit 2
}

mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
work=$(mktemp -d)
watcher=''
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	[[ -z $watcher ]] || kill "$watcher" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
tar -C "$work" -xzf "$archive" || exit 2
log=$out/log.txt report=$out/report.md
: >"$log"
rm -f "$report" "$out"/*.json "$out"/*.png

# -------------------------------------------------------------------------------------------------------------- results

names=() results=() details=()
failed=0
note() { # note PART RESULT DETAIL
	names+=("$1") results+=("$2") details+=("$3")
	printf '%-12s %-8s %s\n' "$1" "$2" "$3"
}
ok() { note "$1" ok "$2"; }
bad() {
	note "$1" FAILED "$2"
	failed=1
}
skip() { note "$1" skipped "$2"; }
# missing PART WHY: a mandatory part that could not be run
missing() { if ((required)); then bad "$1" "$2"; else skip "$1" "$2"; fi; }
wanted() { [[ -z $only || ,$only, == *",$1,"* ]]; }

# logged SECONDS COMMAND...: runs it with its output in the log and in $work/last
logged() {
	local limit=$1 start=$SECONDS rc
	shift
	printf '\n== %s\n' "$*" >>"$log"
	timeout -k 10 "$limit" "$@" >"$work/last" 2>&1
	rc=$?
	cat "$work/last" >>"$log"
	printf '== exit code %d after %d s\n' "$rc" "$((SECONDS - start))" >>"$log"
	if ((rc == 124 || (rc == 137 && SECONDS - start >= limit))); then echo "stopped after $limit s" >>"$work/last"; fi
	return "$rc"
}
# why: the line of the last output that says most
why() {
	local line
	line=$(grep -v '^=== ' "$work/last" | grep -m1 -E 'panic|FAIL|[Ee]rror|: cannot|stopped after' ||
		tail -n1 "$work/last")
	line=${line#"${line%%[! ]*}"}
	printf '%s' "${line:0:160}" | tr '|' '/'
}

# tests PART SECONDS FOLDER NAME.test FLAGS...: runs a test binary in its folder and counts
tests() {
	local part=$1 limit=$2 folder=$3 binary=$4 rc passed skips
	shift 4
	local start=$SECONDS
	logged "$limit" env -C "$work/$folder" SIGMAZ_GPU=required ./"$binary" -test.v "$@"
	rc=$?
	passed=$(grep -c '^ *--- PASS' "$work/last")
	skips=$(grep -c '^ *--- SKIP' "$work/last")
	if ((rc == 0 && passed > 0)); then
		ok "$part" "$passed passed$( ((skips)) && echo ", $skips skipped"), $((SECONDS - start)) s"
	else
		bad "$part" "$(grep -c '^ *--- FAIL' "$work/last") failed, $passed passed: $(why)"
	fi
}

# --------------------------------------------------------------------------------------------------------------- device

standin=0 gpu=0 device='' none='no GPU' memory_total='' driver=''
find_device() {
	local rc
	logged 60 "$work/sigmaz" bench -gpu -info
	rc=$?
	if ((rc == 0)); then
		gpu=1
		device=$(sed -n 's/^device *//p' "$work/last")
		if grep -q 'stands in for a GPU' "$work/last"; then standin=1; fi
	elif ((rc == 126 || rc == 127)); then # the loader's, or of a file that cannot be executed
		none='the program does not start here'
		device=$(head -n1 "$work/last")
		device=${device//"$work/"/}
	else
		device=$(sed 's/^sigmaz bench: //' "$work/last" | tail -n1)
	fi
	local query=name,driver_version,memory.total,memory.used
	if ((!standin)) && command -v nvidia-smi >/dev/null &&
		nvidia-smi --query-gpu="$query" --format=csv,noheader,nounits >"$work/smi" 2>&1; then
		cat "$work/smi" >>"$log"
		driver=$(head -n1 "$work/smi" | cut -d, -f2 | tr -d ' ')
		memory_total=$(head -n1 "$work/smi" | cut -d, -f3 | tr -d ' ')
	fi
}
find_device
if ((standin)); then
	echo "*** stand-in driver, not a GPU: logic is checked, nothing is timed ***"
	said="$device: a STAND-IN, not a GPU"
	if ((required)); then bad device "$said, and a GPU is required"; else ok device "$said"; fi
elif ((gpu)); then
	ok device "$device${driver:+; driver $driver}${memory_total:+; $memory_total MiB}"
else
	missing device "$none: $device"
fi

# ------------------------------------------------------------------------------------------------------------ sanitizer

sanitizer() {
	local tool cs='' c limit operations cases
	for c in compute-sanitizer /usr/local/cuda/bin/compute-sanitizer \
		/usr/local/cuda/compute-sanitizer/compute-sanitizer; do
		if command -v "$c" >/dev/null; then
			cs=$c
			break
		fi
	done
	if [[ -z $cs ]]; then
		skip sanitizer "compute-sanitizer is not installed"
		return
	fi
	# what the tool itself says where it cannot work
	local cannot='device (is )?not supported|(unable|failed|not able) to (find|load|inject)[a-z ]*(injection|library)'
	cannot="$cannot|cannot (inject|find injection)|unable to inject"
	cannot="^(=+ |(internal |sanitizer )*error: |compute-sanitizer: ).*($cannot)"
	for tool in memcheck racecheck; do
		local start=$SECONDS rc passed summary unable
		if [[ $tool == memcheck ]]; then # every operation at a few odd sizes
			limit=200 operations=.
			cases='2x7x5x17|2x14x14x16-16-k3-d2|1x7x3x6-33-k3-d2|33x1x1x31-17|3x1023$|33x31$|.*-33$'
		else # what shares memory between threads, which is slow to follow
			limit=360 operations='^(conv|conv_grad_input|conv_grad_weight|norm|norm_grad|loss)$'
			cases='(2x7x5x17|2x14x14x16-16-k3-d2|1x7x3x6-33-k3-d2|33x31)$'
		fi
		logged "$limit" env -C "$work/kernels" SIGMAZ_GPU=required "$cs" --tool "$tool" --error-exitcode 9 \
			./kernels.test -test.v -test.run "TestConformanceCUDA/$operations/^($cases)"
		rc=$?
		passed=$(grep -c '^ *--- PASS' "$work/last")
		summary=$(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$work/last" | tail -n1 | sed 's/^=* *//')
		unable=$(grep -m1 -iE "$cannot" "$work/last" | sed 's/^=* *//' | cut -c1-160 | tr '|' '/')
		if [[ -n $unable ]] && ((passed == 0 && rc != 124 && rc < 128)); then
			skip "$tool" "compute-sanitizer does not work here: $unable"
		elif ((rc == 0 && passed > 0)) && [[ -n $summary && -z $unable ]]; then
			ok "$tool" "$passed passed, $summary, $((SECONDS - start)) s"
		else
			bad "$tool" "exit code $rc, $passed passed, ${summary:-no summary}: ${unable:-$(why)}"
		fi
	done
}

# ---------------------------------------------------------------------------------------------------------------- bench

# watch_memory: the most memory in use on the card, in $work/peak, until it is stopped
watch_memory() {
	local used peak=0
	while used=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n1); do
		if ((used > peak)); then
			peak=$used
			echo "$peak" >"$work/peak"
		fi
		sleep 0.5
	done
}

bench() {
	local start=$SECONDS peak=''
	rm -f "$work/peak"
	if [[ -n $memory_total ]]; then
		watch_memory &
		watcher=$!
	fi
	if logged 300 "$work/sigmaz" bench -gpu -precision float32 -json "$out/bench.json"; then
		cp "$work/last" "$work/bench.txt"
		if [[ -s $work/peak ]]; then peak="; at most $(<"$work/peak") MiB of the card in use"; fi
		ok bench "$(sed -n 's/^checked *//p' "$work/last"); $((SECONDS - start)) s$peak"
	else
		bad bench "$(why)"
	fi
	if [[ -n $watcher ]]; then
		kill "$watcher" 2>/dev/null
		wait "$watcher" 2>/dev/null
		watcher=''
	fi
}

pytorch() {
	local start=$SECONDS bench=()
	if ((standin)); then
		skip pytorch "nothing to compare with on a stand-in"
		return
	fi
	if ! logged 120 python3 -c 'import sys, torch
if not torch.cuda.is_available(): sys.exit("PyTorch " + torch.__version__ + " sees no GPU")'; then
		skip pytorch "no PyTorch with CUDA: $(why)"
		return
	fi
	if [[ -f $out/bench.json ]]; then bench=(--bench "$out/bench.json"); fi
	if logged 420 env GOLDEN="$work/model/testdata/golden" PYTHONUNBUFFERED=1 \
		python3 "$here/ncsnv2.py" "${bench[@]}" --json "$out/pytorch.json"; then
		cp "$work/last" "$work/pytorch.txt"
		ok pytorch "$(head -n1 "$work/last" | cut -c1-120); $((SECONDS - start)) s"
	else
		bad pytorch "$(why)"
	fi
}

# ---------------------------------------------------------------------------------------------------------------- train

short_run() {
	local start=$SECONDS flags=(-steps 2000 -ngf 32 -batch 64 -eval-every 1000 -preview-every 0 -preview-n 36) n=64
	if ((standin)); then
		flags=(-data toy:swissroll -steps 20 -batch 32 -hidden 16 -levels 5 -T 2 -eval-every 0 -preview-n 16) n=16
	fi
	if ! logged 240 "$work/sigmaz" train -gpu -runs "$work/runs" -name check -checkpoint-every 0 "${flags[@]}"; then
		bad train "$(why)"
		return
	fi
	local loss
	loss=$(sed -n 's/^loss *//p' "$work/last" | tail -n1)
	local seconds=$((SECONDS - start))
	if ! logged 120 "$work/sigmaz" sample "$work/runs/check" -gpu -n "$n" -o "$out/sample.png"; then
		bad train "sampling: $(why)"
		return
	fi
	local preview
	preview=$(find "$work/runs/check/samples" -name 'step-*.png' | sort | tail -n1)
	if [[ -n $preview ]]; then cp "$preview" "$out/preview.png"; fi
	ok train "$( ((standin)) || echo "$seconds s; ")loss ${loss:-not printed}; pictures: $(cd "$out" && echo ./*.png)"
}

# ------------------------------------------------------------------------------------------------------------ all parts

if ((gpu)); then
	if wanted sanitizer; then
		if ((standin)); then skip sanitizer "the stand-in checks bounds by itself"; else sanitizer; fi
	fi
	if wanted driver; then tests driver 120 cuda cuda.test -test.skip '^(TestSurface|TestFaults)$'; fi
	if wanted conformance; then
		tests conformance 300 kernels kernels.test -test.run '^Test(.*CUDA|Tiles|SplitSums|Norm.*|BatchSize|CompileErrors)$'
	fi
	if wanted golden; then
		if [[ -d $work/golden ]]; then export GOLDEN_DIR=$work/golden; fi
		tests golden 300 networks train.test -test.run '^Test(Golden|TapeMachineAgrees|TrainingAgreesWithCPU)$/'
	fi
	if wanted bench; then bench; fi
	if wanted pytorch; then pytorch; fi
	if wanted train; then short_run; fi
else
	for p in "${parts[@]:1}"; do
		if ! wanted "$p"; then continue; fi
		case $p in
		sanitizer | pytorch) skip "$p" "$none" ;;
		*) missing "$p" "$none" ;;
		esac
	done
fi

# --------------------------------------------------------------------------------------------------------------- report

{
	echo "# GPU check"
	echo
	if ((standin)); then
		echo "**The device is the stand-in driver of cuda/sim, not a GPU. Nothing here says how fast anything is.**"
		echo
	fi
	echo "Device: $device${driver:+, driver $driver}${memory_total:+, $memory_total MiB}. $(date -u '+%Y-%m-%d')."
	echo "Command: \`bash cuda/gpucheck/run.sh$( ((required)) && echo ' --required')${only:+ --only $only}\`." \
		"Built from $(paste -sd, "$work/version" | sed 's/,/, /g')."
	echo
	echo "| part | result | |"
	echo "|---|---|---|"
	for i in "${!names[@]}"; do echo "| ${names[i]} | ${results[i]} | ${details[i]} |"; done
	for t in bench pytorch; do
		if [[ -f $work/$t.txt ]]; then
			printf '\n## %s\n\n' "$t"
			sed 's/^/    /; s/ *$//' "$work/$t.txt"
		fi
	done
	for p in preview sample; do
		if [[ -f $out/$p.png ]]; then printf '\n![%s](%s.png)\n' "$p" "$p"; fi
	done
} >"$report"

for t in bench pytorch; do
	if [[ -f $work/$t.txt ]]; then
		echo
		cat "$work/$t.txt"
	fi
done
echo
echo "$report"
exit "$failed"
