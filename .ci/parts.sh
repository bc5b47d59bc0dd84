# What .ci/run, .ci/extras and .ci/release share: parts with their times, and a place to keep tools in. Sourced by bash,
# from the root.

# Tools and wheels, each in a folder with its version in its name. Not a temporary folder: Go's build cache holds what
# was built with these very paths.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sigmaz-ci

fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }

# part NAME COMMAND... runs a part. The seconds of each are printed when the script ends, however it ends.
part() {
	name=$1 start=$SECONDS
	shift
	printf '== %s\n' "$name"
	"$@"
	times+=("$(printf '%6d  %s' $((SECONDS - start)) "$name")")
	name=
}
times=() name=
report() {
	[[ -z $name ]] || times+=("$(printf '%6d  %s: failed' $((SECONDS - start)) "$name")")
	printf '== seconds\n'
	((${#times[@]} == 0)) || printf '%s\n' "${times[@]}"
	printf '%6d  in all (%d min %02d s)\n' $SECONDS $((SECONDS / 60)) $((SECONDS % 60))
}
trap report EXIT

# tool installs a Go program into $cache and puts it on the path. The folder also names the version of Go: a linter
# built with an older one refuses a newer language.
tool() { # PACKAGE VERSION
	local bin name=${1%/v[0-9]}
	name=${name##*/}
	bin=$cache/$name-$2-$(go env GOVERSION)
	[[ -x $bin/$name ]] || GOBIN=$bin go install "$1@$2"
	PATH=$bin:$PATH
}

# debian installs packages of Debian or Ubuntu.
debian() {
	local sudo=
	[[ $(id -u) == 0 ]] || sudo=sudo
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}
