#!/bin/sh
# The main job, end to end, in a scratch directory: a management node becomes an
# OCI layout and comes back on another root. Called by "make demo".
set -eu
bin=${XCRATE:-$(pwd)/bin/xcrate}
dir=$(mktemp -d "${TMPDIR:-/tmp}/xcrate-demo.XXXXXX")
trap 'chmod -R u+rwX "$dir" 2>/dev/null; rm -rf "$dir"' EXIT
allow='' single=''
if [ "$(id -u)" != 0 ]; then
	single=-single-owner allow='--allow not-root'
	echo "(not root: the sample has one owner and no devices; as root it has all)"
fi
PATH=$(dirname "$bin"):$PATH
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
# run COMMAND... shows it and runs it; "done with warnings" (3) is done.
run() {
	say "$@"
	rc=0
	"$@" || rc=$?
	[ $rc = 0 ] || [ $rc = 3 ] || { echo "demo: exit code $rc"; exit 1; }
}
echo "A management node with 300 managed nodes, made by internal/hosttest:"
go run ./internal/hosttest/mksample -nodes 300 $single "$dir/mn"
mkdir "$dir/new"
cd "$dir"
run xcrate export usb --root mn --tag demo
run xcrate list usb
run xcrate verify usb:demo
run xcrate import usb:demo --root new --dry-run $allow
run xcrate import usb:demo --root new --yes $allow
echo
echo "Once more: there must be nothing left to do."
run xcrate import usb:demo --root new --yes $allow
echo
echo "And back: an export of the restored root must have the same layers."
run xcrate export back --root new --tag demo >/dev/null
layers() { xcrate inspect "$1" --json | sed -n '/"layers": \[/,/^    \]/s/.*"digest": "\(.*\)".*/\1/p' | sort; }
layers usb:demo >a
layers back:demo >b
# The catalog and each layer must be there again; nothing may differ.
if ! cmp -s a b; then
	echo "demo: the layers differ:"
	diff a b || true
	exit 1
fi
echo "$(wc -l <a) layers, every digest equal."
