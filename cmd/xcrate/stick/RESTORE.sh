#!/bin/sh
# {{.Mark}}
# Puts a management node's snapshot on this medium back on this machine:
#
#   sh RESTORE.sh              plan, question, restore
#   sh RESTORE.sh --dry-run    only the plan
#
# Options are those of "xcrate import". The program is copied to a place where
# programs may run, and runs only if it has the digest below.
set -u

# ARCHITECTURE SHA256
tools='{{range .Tools}}{{.Arch}} {{.Sum}}
{{end}}'

die() {
	echo "RESTORE.sh: $*" >&2
	exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
arch=$(uname -m)
want=$(printf '%s' "$tools" | while read -r a sum; do
	if [ "$a" = "$arch" ]; then
		echo "$sum"
		break
	fi
done)
[ -n "$want" ] || die "no program for $arch here: install xcrate, then: xcrate import $here"

sum_of() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum <"$1" | cut -d ' ' -f 1
	else
		openssl dgst -sha256 <"$1" | sed 's/.* //'
	fi
}

# Neither place may allow programs to run, nor may the first that can be written to.
dir=
trap '[ -z "$dir" ] || rm -rf "$dir"' EXIT
trap 'exit 130' HUP INT TERM
umask 077
why="no place for it: tried ${TMPDIR:-} /run /var/tmp /tmp /dev/shm ${HOME:-/root}"
for place in ${TMPDIR:-} /run /var/tmp /tmp /dev/shm "${HOME:-/root}"; do
	[ -z "$dir" ] || rm -rf "$dir"
	dir=$(mktemp -d "$place/xcrate-restore.XXXXXX" 2>/dev/null) || {
		dir=
		continue
	}
	program=$dir/xcrate
	for from in "$here/xcatimport" "$here/blobs/sha256/$want"; do
		cp "$from" "$program" 2>/dev/null || continue
		if [ "$(sum_of "$program")" != "$want" ]; then
			why="the program on this medium is damaged, or not the one that was written"
			continue
		fi
		chmod 0700 "$program"
		"$program" --version >/dev/null 2>&1 || continue # mounted noexec
		"$program" import "oci:$here" "$@"
		exit
	done
done
die "$why"
