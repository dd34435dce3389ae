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
# run COMMAND... shows a command and runs it; "done with warnings" (3) is done.
run() {
	printf '\n$ %s\n' "$*"
	rc=0
	"$@" || rc=$?
	[ $rc = 0 ] || [ $rc = 3 ] || { echo "demo: exit code $rc"; exit 1; }
}
echo "A management node of 300 managed nodes, made by internal/hosttest, and an"
echo "empty root to bring it back on."
go run ./internal/hosttest/mksample -nodes 300 $single "$dir/mn"
mkdir "$dir/new"
cd "$dir"
run xcrate export usb --root mn --tag demo --no-encrypt
run xcrate list usb
run xcrate verify usb:demo
run xcrate import usb:demo --root new --dry-run $allow
run xcrate import usb:demo --root new --yes --allow-unsigned $allow
printf '\nOnce more: there is nothing left to do.\n'
run xcrate import usb:demo --root new --yes --allow-unsigned $allow
printf '\nAn export of the restored root has the same layers, digest by digest:\n'
xcrate export back --root new --tag demo --no-encrypt >/dev/null || [ $? = 3 ]
layers() { xcrate inspect "$1" --json | sed -n '/"layers": \[/,$s/.*"digest": "\(sha256:.*\)".*/\1/p' | head -n 7; }
layers usb:demo >usb.digests
layers back:demo >back.digests
[ -s usb.digests ] || { echo "demo: no layers"; exit 1; }
diff usb.digests back.digests || { echo "demo: the layers differ"; exit 1; }
sed 's/^/  same  /' usb.digests

printf '\nAnd back: the root is as empty as it was.\n'
run xcrate rollback --root new --yes
[ -z "$(find new -mindepth 1)" ] || { echo "demo: something is left"; find new; exit 1; }
