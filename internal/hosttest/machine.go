package hosttest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Machine is a root directory that runs as a machine of its own: real systemd as
// pid 1, own host name and address, own processes, mounts and network
// (testdata/lab/machine). It reaches nobody and nobody reaches it. It ends with
// the test, and with the process of the tests however that ends.
type Machine struct {
	// Dir is its root, as this process sees it. What lies in its /run, /tmp and
	// /proc is not to be seen there.
	Dir string

	name, script, state string
	hold                *exec.Cmd
	wire                io.WriteCloser // the holder's standard input
	ended               chan error
	down                bool
}

// machines counts those of this process, so that no two have one name.
var machines atomic.Int64

// commandTime is after how long a command on a machine is taken to hang.
const commandTime = 5 * time.Minute

// StartMachine boots root directory dir as a machine with a host name and an
// address such as 10.10.0.1/16, and returns once its systemd has started what it
// is to start. binds are directories it sees besides, as FROM:TO or FROM:TO:ro.
//
// It needs root and a cgroup2 filesystem; without root the test is skipped, or
// fails where CI=true or XCRATE_TEST_ALL=1 is set.
func StartMachine(t testing.TB, dir, fqdn, address string, binds ...string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		missLabRoot(t, "run it as root")
	}
	lab, err := labScripts()
	if err != nil {
		t.Fatalf("machine: %v", err)
	}
	m := &Machine{
		Dir: dir, name: fmt.Sprintf("xcrate-%d-%d", os.Getpid(), machines.Add(1)),
		script: filepath.Join(lab, "machine"), state: t.TempDir(), ended: make(chan error, 1),
	}
	m.hold = exec.Command(m.script, "hold", m.name, dir, fqdn, address)
	m.hold.Env = append(os.Environ(), "LAB_STATE="+m.state, "LAB_BIND="+strings.Join(binds, " "))
	var said bytes.Buffer
	m.hold.Stderr = &said
	if m.wire, err = m.hold.StdinPipe(); err != nil {
		t.Fatalf("machine: %v", err)
	}
	out, err := m.hold.StdoutPipe()
	if err != nil {
		t.Fatalf("machine: %v", err)
	}
	if err := m.hold.Start(); err != nil {
		t.Fatalf("machine: %v", err)
	}
	t.Cleanup(func() { m.Kill(t) })
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { m.ended <- m.hold.Wait() }()
	if line != "up\n" {
		m.Kill(t)
		t.Fatalf("machine %s: %v: %s", fqdn, err, &said)
	}
	return m
}

// Run runs a command inside, as root with a clean environment and nothing on its
// standard input, and returns what it wrote, standard error too, and its exit
// code. A machine that dies meanwhile makes it -1 or that of the signal.
func (m *Machine) Run(t testing.TB, command ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	out, err := m.Command(ctx, command...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("machine: %q: %v", command, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("machine: %q: still running after %v: %s", command, commandTime, out)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// Command is as Run, to be started and waited for by the test.
func (m *Machine) Command(ctx context.Context, command ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.script, append([]string{"x", m.name}, command...)...)
	cmd.Env = append(os.Environ(), "LAB_STATE="+m.state)
	cmd.WaitDelay = 10 * time.Second // a daemon it left behind may hold the pipe
	return cmd
}

// Must is Run of a command that has to succeed.
func (m *Machine) Must(t testing.TB, command ...string) string {
	t.Helper()
	said, code := m.Run(t, command...)
	if code != 0 {
		t.Fatalf("machine: %q: exit code %d\n%s", command, code, said)
	}
	return said
}

// Kill ends the machine as a power cut does, but that the disk keeps all that was
// written: every process is killed at once. A machine that is down stays down.
func (m *Machine) Kill(t testing.TB) {
	t.Helper()
	m.end(t, "kill\n")
}

// Stop shuts the machine down in good order.
func (m *Machine) Stop(t testing.TB) {
	t.Helper()
	m.end(t, "stop\n")
}

func (m *Machine) end(t testing.TB, word string) {
	t.Helper()
	if m.down {
		return
	}
	m.down = true
	_, _ = io.WriteString(m.wire, word) // the holder may be gone already
	_ = m.wire.Close()
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		_ = m.hold.Process.Kill() // and the kernel the machine
		t.Errorf("machine %s: it does not end", m.name)
	}
}
