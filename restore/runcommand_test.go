package restore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// elsewhere runs programs that lie in a directory of the test, under the paths they
// have on a host.
type elsewhere struct {
	host.Exec
	dir string
}

func (e elsewhere) Look(chroot, name string) (string, error) {
	if _, err := e.Exec.Look(chroot, filepath.Join(e.dir, name)); err != nil {
		return "", err
	}
	return name, nil
}

func (e elsewhere) Run(ctx context.Context, c host.Command) ([]byte, error) {
	c.Name = filepath.Join(e.dir, c.Name)
	return e.Exec.Run(ctx, c)
}

// TestRunCommand runs programs that work, fail, lie and hang.
func TestRunCommand(t *testing.T) {
	dir := t.TempDir()
	sbin := filepath.Join(dir, "opt/xcat/sbin")
	check(t, os.MkdirAll(sbin, 0o755))
	var mknb StackCommand
	for _, c := range stack.XCAT().Commands {
		if c.Program == "mknb" {
			mknb = stackCommand(c.OfArch("x86_64"), "")
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx    context.Context
		script string
		limit  time.Duration
		says   string // the error, with * for anything between; "" for none
		not    string
		is     error
		output string
	}{
		"works": {
			script: `echo "$0 $* in $PWD"; echo "bypass $XCATBYPASS, root $XCATROOT, home $HOME"; read x || echo nothing to read`,
			output: "opt/xcat/sbin/mknb x86_64 in /\nbypass yes, root /opt/xcat, home /root\nnothing to read\n",
		},
		"fails":         {script: "echo 'Error: no kernel'; echo secret; exit 3", says: `command "*mknb x86_64": exit status 3: Error: no kernel`, not: "secret"},
		"only fails":    {script: "echo secret >&2; exit 1", says: `command "*mknb x86_64": exit status 1`, not: "secret"},
		"lies":          {script: "echo fine; echo 'Error: Failed to copy /opt/x contents' >&2", says: "exit code 0, and it says: Error: Failed to copy /opt/x contents"},
		"lies of nodes": {script: "echo 'cn01: Error: no mac'; echo '[mgmt01]: Error: no net'; echo 'cn01: Error: no mac'", says: "says: cn01: Error: no mac; [mgmt01]: Error: no net"},
		"not root":      {script: "echo 'WARNING: Only allow root to run XCATBYPASS mode, your current user ID is x.'", says: "WARNING: Only allow root"},
		"plugin broken": {script: "echo 'Error loading module /opt/xcat/lib/perl/xCAT_plugin/mknb.pm  ...skipping'", says: "xCAT_plugin/mknb.pm"},
		"noise":         {script: "echo 'Error loading module /opt/xcat/lib/perl/xCAT_plugin/kvm.pm  ...skipping'; echo 'Warning: Error in mind'; echo 'no Error: here'"},
		"many": {
			script: "for i in 1 2 3 4 5 6 7; do echo Error: $i; done", says: "Error: 1; Error: 2; Error: 3; Error: 4; Error: 5", not: "Error: 6",
		},
		"hangs": {
			script: "echo begun; sleep 60 & sleep 60", limit: 200 * time.Millisecond, says: `command "mknb x86_64": killed after 200ms`,
			is: context.DeadlineExceeded, output: "begun\n",
		},
		"Ctrl-C": {ctx: ended, script: "sleep 60", says: "context canceled", is: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, os.WriteFile(filepath.Join(sbin, "mknb"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755))
			cmd, ctx := mknb, t.Context()
			if c.limit > 0 {
				cmd.Timeout = c.limit
			}
			if c.ctx != nil {
				ctx = c.ctx
			}
			var output bytes.Buffer
			begin := time.Now()
			err := runCommand(ctx, elsewhere{dir: dir}, cmd, &output)
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
			if c.output != "" && !strings.HasSuffix(output.String(), c.output) {
				t.Errorf("output %q", output.String())
			}
			switch {
			case c.says == "":
				check(t, err)
			case err == nil:
				t.Fatalf("no error, want %q", c.says)
			case c.is != nil && !errors.Is(err, c.is), c.not != "" && strings.Contains(err.Error(), c.not):
				t.Errorf("error %v", err)
			}
			for part := range strings.SplitSeq(c.says, "*") {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want %q", err, c.says)
				}
			}
		})
	}
	check(t, os.Remove(filepath.Join(sbin, "mknb")))
	if err := runCommand(t.Context(), elsewhere{dir: dir}, mknb, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "/opt/xcat/sbin/mknb, /opt/xcat/bin/mknb: ") {
		t.Errorf("no program: %v", err)
	}
}
