package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// built builds the program once for all tests that run it as a process of its own, without
// the race detector, as it is shipped.
var built = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(os.Getenv("XCRATE_CACHE"), "xcrate") // which goes when the tests have ended
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

// program is the file of the program.
func program(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// killAfter runs the program and kills it after d. It reports whether it had
// ended by itself before.
func killAfter(t *testing.T, d time.Duration, bin string, args ...string) (ended bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = time.Minute // a program that outlives it holds the pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || (!status.Signaled() && status.ExitStatus() != exitWarnings) {
		t.Fatalf("%v: %s", err, said.String())
	}
	return !status.Signaled()
}

func tree(t *testing.T, dir string) map[string]hosttest.Node {
	t.Helper()
	all, err := hosttest.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sample(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: an import sets owners")
	}
	if err := hosttest.SampleMN(dir, hosttest.SampleOptions{Nodes: 40}); err != nil {
		t.Fatal(err)
	}
}

// steps are the moments at which a program that takes about total is killed.
func steps(total time.Duration, n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = total * time.Duration(i+1) / time.Duration(n)
	}
	return all
}

// TestKilledExport kills an export at many moments. The snapshot that was there
// before stays whole, and the next export succeeds.
func TestKilledExport(t *testing.T) {
	bin, mn, usb := program(t), filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	sample(t, mn)
	begun := time.Now()
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "first")
	took := time.Since(begun)
	killed := 0
	for i, d := range steps(took, 12) {
		if err := os.WriteFile(filepath.Join(mn, "install/custom/new"), fmt.Appendf(nil, "%d", i), 0o644); err != nil {
			t.Fatal(err)
		}
		if !killAfter(t, d, bin, "export", "--no-encrypt", usb, "--root", mn, "--tag", "second") {
			killed++
		}
		xcrate(t, 0, "verify", usb+":first")
		xcrate(t, 0, "verify", usb)
	}
	if killed == 0 {
		t.Error("no export was killed")
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "second")
	xcrate(t, 0, "verify", usb+":second")
	if left, _ := filepath.Glob(filepath.Join(usb, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	t.Logf("killed %d of 12", killed)
}

// TestKilledImport kills an import at many moments. The next one is refused; resumed,
// the root is as after an undisturbed one; rolled back, as before.
func TestKilledImport(t *testing.T) {
	bin, mn, usb := program(t), filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	sample(t, mn)
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn)
	want := filepath.Join(t.TempDir(), "want")
	if err := hosttest.BaseRoot(want); err != nil {
		t.Fatal(err)
	}
	base := tree(t, want)
	begun := time.Now()
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", want, "--yes")
	took := time.Since(begun)
	killed := 0
	for _, d := range steps(took, 12) {
		root := filepath.Join(t.TempDir(), "root")
		if err := hosttest.BaseRoot(root); err != nil {
			t.Fatal(err)
		}
		if killAfter(t, d, bin, "import", "--allow-unsigned", usb, "--root", root, "--yes") {
			continue
		}
		killed++
		var said strings.Builder
		code := run([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root, "--yes"}, strings.NewReader(""), &said, &said)
		if code == 0 && strings.Contains(said.String(), "Nothing to do") || code == exitWarnings {
			continue // it was killed when all was done, or nothing
		}
		if code != exitRefused || !strings.Contains(said.String(), "import --resume") || !strings.Contains(said.String(), "xcrate rollback") {
			t.Fatalf("exit code %d: %s", code, said.String())
		}
		resumed := filepath.Join(t.TempDir(), "resumed")
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", root, resumed).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		resume(t, resumed)
		after(t, want, resumed, d)
		xcrate(t, 0, "rollback", "--root", root, "--yes")
		for _, line := range hosttest.DiffTrees(base, tree(t, root), hosttest.DiffOptions{Skip: stateOfImports}) {
			t.Errorf("after a kill at %v: %s", d, line)
		}
		xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
		after(t, want, root, d)
	}
	if killed == 0 {
		t.Error("no import was killed")
	}
	t.Logf("killed %d of 12", killed)
}

// resume ends an import that was killed. One that was killed when all but the report was
// done has no plan any more to be warned by.
func resume(t *testing.T, root string) {
	t.Helper()
	var said strings.Builder
	code := run([]string{"xcrate", "import", "--resume", "--root", root, "--yes"}, strings.NewReader(""), &said, &said)
	if code != exitWarnings && code != exitOK {
		t.Fatalf("import --resume: exit code %d: %s", code, said.String())
	}
}

// after compares root with one onto which an import was not disturbed.
func after(t *testing.T, want, root string, d time.Duration) {
	t.Helper()
	opt := hosttest.DiffOptions{IgnoreDirTimes: true, Skip: func(p string) bool { return stateOfImports(p) || clocked(p) }}
	for _, line := range hosttest.DiffTrees(tree(t, want), tree(t, root), opt) {
		t.Errorf("after a kill at %v: %s", d, line)
	}
}

// stateOfImports is what imports leave of themselves, and the directories
// above, whose times change with it.
func stateOfImports(p string) bool {
	return p == "." || p == "var" || p == "var/lib" || p == "var/lib/xcrate" || strings.HasPrefix(p, "var/lib/xcrate/imports")
}

// clocked are files whose times, or bytes, are of the moment of the import.
func clocked(p string) bool {
	switch p {
	case "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/hosts":
		return true
	}
	return strings.HasSuffix(p, ".sqlite")
}

// interruptAfter runs the program and sends it a Ctrl-C after d. It reports
// whether it had ended by itself before, and checks how it ends.
func interruptAfter(t *testing.T, d time.Duration, bin string, args ...string) (ended bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	_ = cmd.Wait() // the exit code says it all
	switch code := cmd.ProcessState.ExitCode(); code {
	case exitWarnings:
		return true
	case exitInterrupted:
		if !strings.Contains(said.String(), "interrupted") {
			t.Errorf("interrupted without a word: %q", said.String())
		}
	case -1: // before the program had a handler: nothing had begun
	default:
		t.Errorf("Ctrl-C after %v: exit code %d: %s", d, code, said.String())
	}
	return false
}

// TestInterrupted presses Ctrl-C at many moments of an export and an import:
// nothing is left of either.
func TestInterrupted(t *testing.T) {
	bin, mn, usb := program(t), filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	sample(t, mn)
	begun := time.Now()
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn)
	took := time.Since(begun)
	interrupted := 0
	for _, d := range steps(took, 8) {
		place := filepath.Join(t.TempDir(), "new")
		if interruptAfter(t, d, bin, "export", "--no-encrypt", place, "--root", mn) {
			continue
		}
		interrupted++
		if _, err := os.Lstat(place); err == nil {
			t.Errorf("Ctrl-C after %v: %s was left behind", d, place)
		}
	}
	begun = time.Now()
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", t.TempDir(), "--yes")
	took = time.Since(begun)
	for _, d := range steps(took, 8) {
		root := filepath.Join(t.TempDir(), "root")
		if err := hosttest.BaseRoot(root); err != nil {
			t.Fatal(err)
		}
		before := tree(t, root)
		if interruptAfter(t, d, bin, "import", "--allow-unsigned", usb, "--root", root, "--yes") {
			continue
		}
		interrupted++
		opt := hosttest.DiffOptions{IgnoreDirTimes: true} // of /var/lib, where the work directory was
		for _, line := range hosttest.DiffTrees(before, tree(t, root), opt) {
			t.Errorf("Ctrl-C after %v: %s", d, line)
		}
	}
	if interrupted == 0 {
		t.Error("nothing was interrupted")
	}
	t.Logf("interrupted %d of 16", interrupted)
}
