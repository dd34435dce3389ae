package host

import (
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProcesses(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "4711")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	find := func(dir string) (Process, bool) {
		t.Helper()
		r, err := OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		all, err := Processes(r)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(p Process) bool { return p.ID == cmd.Process.Pid })
		if i < 0 {
			return Process{}, false
		}
		return all[i], true
	}
	for range 100 { // until it has become the program
		if p, ok := find("/"); ok && slices.Equal(p.Args, []string{"sleep", "4711"}) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	p, ok := find("/")
	if !ok || !slices.Equal(p.Args, []string{"sleep", "4711"}) {
		t.Errorf("%v, %v", p, ok)
	}
	if other, ok := find(t.TempDir()); ok {
		t.Errorf("in another root: %v", other)
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Errorf("it was not ended: %v", err)
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Errorf("ended already: %v", err)
	}
}
