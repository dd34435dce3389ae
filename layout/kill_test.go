package layout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary runs itself again as the program that is killed: with
// envDir set it is that program, and kills itself before step envStep.
const (
	envDir  = "XCRATE_LAYOUT_TEST_DIR"
	envStep = "XCRATE_LAYOUT_TEST_STEP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		os.Exit(victim(dir))
	}
	os.Exit(m.Run())
}

// victim writes snapshot "two" with latest on it.
func victim(dir string) int {
	step, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	n := 0
	o := hook(func(op string) error {
		if n++; n != step {
			return nil
		}
		if op != "write" {
			die()
		}
		return syscall.EINTR // half the bytes are written, and death is next
	})
	inner := o.write
	o.write = func(f *os.File, p []byte) (int, error) {
		k, err := inner(f, p)
		if errors.Is(err, syscall.EINTR) {
			die()
		}
		return k, err
	}
	w, err := create(dir, Options{}, o)
	if err == nil {
		desc, werr := write(context.Background(), w, "two")
		if err = werr; err == nil {
			err = errors.Join(w.Commit(context.Background(), desc, "two", "latest"), w.Close())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// die ends the process as kill -9 does: no deferred call runs.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// run starts a victim; after delay, if it is not 0, it is killed.
func run(t *testing.T, dir string, step int, delay time.Duration) (killed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envDir+"="+dir, fmt.Sprintf("%s=%d", envStep, step))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if delay > 0 {
		time.Sleep(delay)
		_ = cmd.Process.Kill() // it may be done already
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("step %d: %v: %s", step, err, out.String())
	}
	return false
}

// survives checks what a killed writer must leave, and that the next one takes
// its leftovers away and comes through.
func survives(t *testing.T, dir, first string) {
	t.Helper()
	one, err := verify(dir, first)
	if first != "" && err != nil {
		t.Fatalf("the first snapshot: %v", err)
	}
	// A tag that is there leads to a whole snapshot.
	if _, err := verify(dir, "two"); err != nil && !errors.Is(err, ErrNotFound) && first != "" {
		t.Fatalf("the second snapshot: %v", err)
	}
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatalf("the next writer: %v", err)
	}
	if names := temporary(t, dir); len(names) != 0 {
		t.Fatalf("left over: %v", names)
	}
	// Another snapshot than the one that was not finished, so that its blobs are not used.
	two, err := write(t.Context(), w, "three")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit(t.Context(), two, "three", "latest"), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, tmpDir)); !os.IsNotExist(err) {
		t.Fatalf("%s is left: %v", tmpDir, err)
	}
	if unused := unreferenced(t, dir); len(unused) > 0 {
		t.Fatalf("%d blobs are left that nothing refers to", len(unused))
	}
	mustVerify(t, dir, "latest", two)
	if first != "" {
		mustVerify(t, dir, first, one)
	}
}

func TestKillAtEachStep(t *testing.T) {
	for name, first := range map[string]string{"second": "one", "first": ""} {
		t.Run(name, func(t *testing.T) {
			step := 1
			for ; ; step++ {
				dir := filepath.Join(t.TempDir(), "d")
				if first != "" {
					save(t, dir, "one", "one", "latest")
				}
				killed := run(t, dir, step, 0)
				survives(t, dir, first)
				if !killed {
					break
				}
			}
			if step < 25 {
				t.Errorf("only %d steps: the test tests nothing", step)
			}
		})
	}
}

func TestKillAtAnyTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	save(t, dir, "one", "one", "latest")
	start := time.Now()
	run(t, dir, 0, 0)
	whole := time.Since(start)
	killed := 0
	for range 30 {
		dir := filepath.Join(t.TempDir(), "d")
		save(t, dir, "one", "one", "latest")
		if run(t, dir, 0, 1+rand.N(whole)) {
			killed++
		}
		survives(t, dir, "one")
	}
	if killed == 0 {
		t.Error("none was killed: the test tests nothing")
	}
}

// The lock dies with its holder, and holds against another process before.
func TestLockAcrossProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	w := mustCreate(t, dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envDir+"="+dir, envStep+"=0")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrLocked.Error()) {
		t.Errorf("%v: %s", err, out)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if run(t, dir, 0, 0) {
		t.Error("killed")
	}
}
