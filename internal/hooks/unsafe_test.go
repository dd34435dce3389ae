package hooks_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
)

// leftOpen ends every program as one whose child keeps its output open, without
// the ten seconds that takes.
type leftOpen struct{ host.Exec }

func (leftOpen) Run(context.Context, host.Command) ([]byte, error) {
	return nil, fmt.Errorf("command: %w", exec.ErrWaitDelay)
}

// TestUnsafe refuses what somebody else could change, before anything is run.
func TestUnsafe(t *testing.T) {
	mode := func(perm os.FileMode) func(*machine, string) {
		return func(_ *machine, path string) { os.Chmod(path, perm) }
	}
	for name, tc := range map[string]struct {
		spoil func(m *machine, hook string)
		want  string
		owner bool // changes it, which takes root
	}{
		"file_group":  {mode(0o775), "20-x can be written by group or others (mode 0775)", false},
		"file_others": {mode(0o757), "20-x can be written by group or others (mode 0757)", false},
		"file_owner":  {func(_ *machine, p string) { os.Chown(p, 4711, 0) }, "20-x belongs to user 4711, not to root", true},
		"directory":   {func(_ *machine, p string) { os.Chmod(filepath.Dir(p), 0o775) }, "pre-import.d can be written by group", false},
		"sticky":      {func(_ *machine, p string) { os.Chmod(filepath.Dir(p), 0o777|os.ModeSticky) }, "pre-import.d can be written by group", false},
		"above":       {func(m *machine, _ string) { os.Chmod(m.Dir, 0o777) }, "hooks can be written by group", false},
		"far_above":   {func(m *machine, _ string) { os.Chmod(filepath.Dir(m.Dir), 0o777) }, "can be written by group", false},
		"dir_owner":   {func(_ *machine, p string) { os.Chown(filepath.Dir(p), 4711, 0) }, "pre-import.d belongs to user 4711", true},
		"dangling":    {func(_ *machine, p string) { os.Remove(p); os.Symlink("nowhere", p) }, "no such file or directory", false},
		"link_to_unsafe": {func(m *machine, p string) {
			other := m.put("elsewhere/x", "echo linked")
			os.Chmod(filepath.Dir(other), 0o777)
			os.Remove(p)
			os.Symlink(other, p)
		}, "elsewhere can be written by group", false},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.owner && os.Geteuid() != 0 {
				return // nobody else may give a file away
			}
			m := newMachine(t)
			m.put("pre-import.d/10-first", "echo first")
			tc.spoil(m, m.put("pre-import.d/20-x", "echo second"))
			results, err := m.Run(t.Context(), hooks.PreImport, hooks.Document{})
			if err == nil || !strings.HasPrefix(err.Error(), "hook pre-import.d") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if len(m.said) > 0 || len(results) != 1 || results[0].Status != hooks.Unsafe {
				t.Errorf("said %q, results %v", m.said, results)
			}
		})
	}
}

// TestUnsafeAfterwards runs the others.
func TestUnsafeAfterwards(t *testing.T) {
	m := newMachine(t)
	os.Chmod(m.put("post-import.d/10-x", "echo x"), 0o777)
	m.put("post-import.d/20-y", "echo y")
	results, err := m.Run(t.Context(), hooks.PostImport, hooks.Document{})
	if err == nil || !strings.Contains(err.Error(), "10-x") {
		t.Error(err)
	}
	m.expect(results, "post-import.d/10-x unsafe, post-import.d/20-y ok", "post-import.d/20-y: y")
}

// TestLinks runs what a link leads to, if that is safe.
func TestLinks(t *testing.T) {
	m := newMachine(t)
	m.dir(filepath.Join(m.Dir, "pre-import.d"))
	if err := os.Symlink(m.put("elsewhere/x", "echo linked"), filepath.Join(m.Dir, "pre-import.d/10-x")); err != nil {
		t.Fatal(err)
	}
	results, err := m.Run(t.Context(), hooks.PreImport, hooks.Document{})
	if err != nil {
		t.Error(err)
	}
	m.expect(results, "pre-import.d/10-x ok", "pre-import.d/10-x: linked")
}
