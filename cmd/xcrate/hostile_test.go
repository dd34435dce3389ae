package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// memoryOf256 is what a run over a hostile snapshot may take, in bytes.
const memoryOf256 = 256 << 20

// TestHostile has verify and import look at every snapshot of testdata/hostile. Whatever
// is in one: nothing outside the root changes, nothing is half done, no command of it is
// run, nothing acts on the terminal, and memory does not grow.
func TestHostile(t *testing.T) {
	files, err := filepath.Glob("../../testdata/hostile/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	bin := program(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			var c hostileCase
			b, err := os.ReadFile(file)
			fail(t, err)
			d := json.NewDecoder(bytes.NewReader(b))
			d.DisallowUnknownFields() // a wish that is not understood would test nothing
			fail(t, d.Decode(&c))
			c.try(t, bin, memoryGroup(t))
		})
	}
}

// try makes the layout of c, and runs the program on it.
func (c *hostileCase) try(t *testing.T, bin, limit string) {
	jail := t.TempDir()
	usb, root := filepath.Join(jail, "usb"), filepath.Join(jail, "root")
	c.build(t, usb)
	for p, text := range map[string]string{
		"outside/secret": "secret", "root/etc/os-release": "ID=rocky\nVERSION_ID=9.6\n", "root/etc/hosted": "of the host", "root/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "root/etc/group": "root:x:0:\n",
	} {
		p = filepath.Join(jail, p)
		fail(t, os.MkdirAll(filepath.Dir(p), 0o755))
		fail(t, os.WriteFile(p, []byte(text), 0o600))
	}
	fail(t, os.Symlink(filepath.Join(jail, "outside"), filepath.Join(root, "etc/planted")))
	before, outside := whole(t, root), whole(t, filepath.Join(jail, "outside"))

	said, code := runLimited(t, limit, jail, bin, "verify", usb)
	if c.Says != "" && (code == 0 || code == exitWarnings || !strings.Contains(said, c.Says)) {
		t.Errorf("verify: exit code %d, without %q:\n%s", code, c.Says, said)
	}
	if c.Says == "" && code != 0 {
		t.Errorf("verify: exit code %d:\n%s", code, said)
	}
	allow := "not-root,distro,distro-version,arch,clock,space"
	said, code = runLimited(t, limit, jail, bin, "import", usb, "--root", root, "--yes", "--allow-unsigned", "--no-start", "--allow", allow)
	done := code == 0 || code == exitWarnings
	switch {
	case c.Import == "done" && !done, c.Import == "" && done:
		t.Errorf("import: exit code %d:\n%s", code, said)
	case !strings.Contains(said, c.Warns):
		t.Errorf("import does not warn of %q:\n%s", c.Warns, said)
	}
	unchanged(t, "outside", outside, filepath.Join(jail, "outside"))
	if !done {
		unchanged(t, "refused", before, root)
	}
	if found, err := filepath.Glob(filepath.Join(jail, "*")); err != nil || len(found) != 3 {
		t.Errorf("beside the root: %q, %v", found, err)
	}
}

// control are characters that act on a terminal.
var control = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f]")

// runLimited runs the program in the memory group, if there is one, and returns what it
// said on both streams.
func runLimited(t *testing.T, limit, dir, bin string, args ...string) (said string, code int) {
	t.Helper()
	argv := append([]string{bin}, args...)
	if limit != "" {
		argv = append([]string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, limit}, argv...)
	}
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XCRATE_CACHE="+t.TempDir(), "GOMEMLIMIT=200MiB")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	fail(t, cmd.Start())
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- peakOf(cmd.Process.Pid, bin, ended) }()
	err := cmd.Wait()
	close(ended)
	if n := <-peak; n > memoryOf256 {
		t.Errorf("%v: %d bytes of memory", args, n)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err != nil && (!ok || status.Signaled()) {
		t.Fatalf("%v: %v\n%s", args, err, &out)
	}
	if at := control.FindIndex(out.Bytes()); at != nil {
		t.Errorf("%v: acts on the terminal: %q", args, out.Bytes()[max(0, at[0]-40):min(out.Len(), at[1]+40)])
	}
	if strings.Contains(out.String(), "panic:") || strings.Contains(out.String(), "goroutine ") {
		t.Errorf("%v: %s", args, &out)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// highWater is the line of /proc/PID/status (proc(5)) with the most memory a process had.
var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf looks, until it has ended, how much memory a process had at most since it became
// bin, in bytes. What the system tells at the end counts the process it was forked from.
func peakOf(pid int, bin string, ended <-chan struct{}) (most int64) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	for {
		select {
		case <-ended:
			return most
		case <-time.After(2 * time.Millisecond):
		}
		if exe, err := os.Readlink(filepath.Join(proc, "exe")); err != nil || exe != bin {
			continue
		}
		b, err := os.ReadFile(filepath.Join(proc, "status"))
		if found := highWater.FindSubmatch(b); err == nil && found != nil {
			n, _ := strconv.ParseInt(string(found[1]), 10, 64)
			most = max(most, n<<10)
		}
	}
}

// memoryGroup makes a control group whose processes get no more memory than that, where
// this machine lets us; "" where it does not, and the peak is looked at alone.
func memoryGroup(t *testing.T) string {
	t.Helper()
	for top, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		dir, err := os.MkdirTemp(top, "xcrate-test-") //nolint:usetesting // a control group is made there and nowhere else
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, file), []byte(fmt.Sprint(memoryOf256)), 0o600) == nil {
			return dir
		}
	}
	return ""
}
