package main

import (
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// buildXcrate builds the program as it is shipped, without cgo: buildxcrate FILE.
func buildXcrate(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", ts.MkAbs(args[0]), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
}

// mount mounts an empty filesystem in memory on which no program runs: mount DIR.
func mount(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOEXEC, "size=200m"))
	ts.Defer(func() { ts.Check(unix.Unmount(dir, unix.MNT_DETACH)) })
}
