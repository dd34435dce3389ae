package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
)

// machine is a directory of hooks and what they say.
type machine struct {
	hooks.Set
	t    *testing.T
	said []string // NAME: LINE
}

func newMachine(t *testing.T) *machine {
	root, err := host.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	top := t.TempDir()
	os.Chmod(top, 0o755) // whatever the umask
	m := &machine{t: t, Set: hooks.Set{Root: root, Dir: filepath.Join(top, "hooks"), Runner: host.Exec{}, Now: time.Now, Limit: time.Minute}}
	m.Line = func(name, line string) { m.said = append(m.said, name+": "+line) }
	m.dir(m.Dir)
	return m
}

func (m *machine) dir(path string) {
	if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o755)); err != nil {
		m.t.Fatal(err)
	}
}

// put writes a hook, called POINT.d/NAME, and returns its path.
func (m *machine) put(name, script string) string {
	path := filepath.Join(m.Dir, name)
	m.dir(filepath.Dir(path))
	if err := errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755), os.Chmod(path, 0o755)); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func statuses(all []hooks.Result) string {
	var said []string
	for _, r := range all {
		said = append(said, r.Name+" "+string(r.Status))
	}
	return strings.Join(said, ", ")
}

func (m *machine) expect(results []hooks.Result, said ...string) {
	m.t.Helper()
	if got := statuses(results); got != said[0] {
		m.t.Errorf("results: %s\nwant:    %s", got, said[0])
	}
	if !slices.Equal(m.said, said[1:]) {
		m.t.Errorf("said %q, want %q", m.said, said[1:])
	}
}

func TestOrderAndNames(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{
		"20-b", "10-a.sh", "README.md~", ".hidden", "30-c.rpmsave", "30-c.rpmnew", "30-c.dpkg-old",
		"30-c.dpkg-dist", "30-c.ucf-new", "40-d.bak", "40-d.disabled", "9-last",
	} {
		m.put("pre-import.d/"+name, "echo here")
	}
	os.Chmod(m.put("pre-import.d/50-not", "echo no"), 0o644)
	os.Symlink("/dev/null", filepath.Join(m.Dir, "pre-import.d/60-masked"))
	m.dir(filepath.Join(m.Dir, "pre-import.d/70-directory"))
	m.put("post-import.d/10-other", "echo other")

	results, err := m.Run(t.Context(), hooks.PreImport, hooks.Document{})
	if err != nil {
		t.Error(err)
	}
	m.expect(results, "pre-import.d/10-a.sh ok, pre-import.d/20-b ok, pre-import.d/50-not skipped, pre-import.d/9-last ok",
		"pre-import.d/10-a.sh: here", "pre-import.d/20-b: here", "pre-import.d/9-last: here")

	results, err = m.Run(t.Context(), hooks.PreExport, hooks.Document{})
	if err != nil || results != nil {
		t.Errorf("without a directory: %v, %v", results, err)
	}
}

func TestDocumentAndEnvironment(t *testing.T) {
	t.Setenv("CANARY", "of the caller")
	m := newMachine(t)
	m.put("post-export.d/10-env", `env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; pwd`)
	m.put("post-export.d/20-stdin", `cat`)
	doc := hooks.Document{Version: "1", Root: "/", Dest: "/usb", Snapshot: "sha256:0", Outcome: hooks.Done, Tags: []string{"a", "latest"}}
	results, err := m.Run(t.Context(), hooks.PostExport, doc)
	if err != nil || len(results) != 2 || len(m.said) == 0 {
		t.Fatal(results, err, m.said)
	}
	var env, stdin []string
	for _, line := range m.said {
		if rest, ok := strings.CutPrefix(line, "post-export.d/10-env: "); ok {
			env = append(env, rest)
		} else {
			stdin = append(stdin, strings.TrimPrefix(line, "post-export.d/20-stdin: "))
		}
	}
	want := []string{
		"HOME=/root", "LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb",
		"XCRATE_DEST=/usb", "XCRATE_HOOK=post-export", "XCRATE_OUTCOME=done", "XCRATE_ROOT=/", "XCRATE_SNAPSHOT=sha256:0", "XCRATE_VERSION=1", "/",
	}
	if !slices.Equal(env, want) {
		t.Errorf("environment %q\nwant        %q", env, want)
	}
	if got := strings.Join(stdin, "\n"); got != `{"format":1,"hook":"post-export","version":"1","root":"/","dest":"/usb","snapshot":"sha256:0","outcome":"done","tags":["a","latest"]}` {
		t.Errorf("stdin %s", got)
	}
	var again hooks.Document
	if err := json.Unmarshal([]byte(stdin[0]), &again); err != nil || again.Dest != "/usb" {
		t.Error(again, err)
	}
}

// TestFailing stops before something at the first that fails, and goes on to the
// last afterwards.
func TestFailing(t *testing.T) {
	m := newMachine(t)
	for _, point := range []string{"pre-import.d/", "post-import.d/"} {
		m.put(point+"10-good", "echo 1")
		m.put(point+"20-bad", "echo the secret >&2; exit 3")
		m.put(point+"30-good", "echo 3")
		m.put(point+"40-killed", "kill -9 $$")
	}
	results, err := m.Run(t.Context(), hooks.PreImport, hooks.Document{})
	if err == nil || err.Error() != "hook pre-import.d/20-bad: exit status 3" {
		t.Errorf("before: %v", err)
	}
	m.expect(results, "pre-import.d/10-good ok, pre-import.d/20-bad failed", "pre-import.d/10-good: 1", "pre-import.d/20-bad: the secret")

	results, err = m.Run(t.Context(), hooks.PostImport, hooks.Document{})
	if err == nil || !strings.HasPrefix(err.Error(), "hook post-import.d/20-bad: exit status 3\nhook post-import.d/40-killed: ") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("after: %v", err)
	}
	if got := statuses(results); got != "post-import.d/10-good ok, post-import.d/20-bad failed, post-import.d/30-good ok, post-import.d/40-killed failed" {
		t.Error(got)
	}
	if results[1].Message != "exit status 3" || results[0].Message != "" {
		t.Errorf("messages of %+v", results)
	}
}

// TestTimeout ends a hook that hangs, and what it started.
func TestTimeout(t *testing.T) {
	m := newMachine(t)
	m.Limit = time.Second
	marks := filepath.Join(t.TempDir(), "marks")
	m.put("pre-export.d/10-hangs", `(while :; do echo x >>`+marks+`; sleep 0.02; done) & wait`)
	begun := time.Now()
	results, err := m.Run(t.Context(), hooks.PreExport, hooks.Document{})
	if err == nil || err.Error() != "hook pre-export.d/10-hangs: not done after 1s, and ended" {
		t.Error(err)
	}
	m.expect(results, "pre-export.d/10-hangs timeout")
	if took := time.Since(begun); took > 8*time.Second || results[0].Took < 0.9 {
		t.Errorf("took %v, says %v", took, results[0].Took)
	}
	size := func() int64 {
		st, err := os.Stat(marks)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	time.Sleep(150 * time.Millisecond)
	if size() != before {
		t.Error("the child of the hook still runs")
	}
}

func TestInterrupted(t *testing.T) {
	m := newMachine(t)
	m.put("pre-export.d/10-hangs", `echo up; sleep 60`)
	m.put("pre-export.d/20-never", `echo never`)
	ctx, cancel := context.WithCancel(t.Context())
	m.Line = func(string, string) { cancel() }
	results, err := m.Run(ctx, hooks.PreExport, hooks.Document{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	m.expect(results, "pre-export.d/10-hangs interrupted")
}

// TestStdinUnread has hooks that read nothing of a document larger than a pipe,
// or some of it: that is their right.
func TestStdinUnread(t *testing.T) {
	m := newMachine(t)
	m.put("pre-import.d/10-none", `exec true`)
	m.put("pre-import.d/20-some", `head -c 10 >/dev/null`)
	m.put("pre-import.d/30-all", `wc -c | tr -d ' '`)
	m.put("pre-import.d/40-closed", `exec <&-; sleep 0.1`)
	results, err := m.Run(t.Context(), hooks.PreImport, hooks.Document{Plan: strings.Repeat("x", 1<<20)})
	if err != nil {
		t.Error(err)
	}
	if len(results) != 4 || len(m.said) != 1 || len(m.said[0]) < len("pre-import.d/30-all: 1048576") {
		t.Errorf("results %v, said %q", results, m.said)
	}
}

// TestHugeOutput has a hook that writes 40 MiB, without a single end of line at first.
func TestHugeOutput(t *testing.T) {
	m := newMachine(t)
	m.put("post-import.d/10-wild", `head -c 20000000 /dev/zero | tr '\0' x; yes | head -c 20000000; printf last >&2`)
	results, err := m.Run(t.Context(), hooks.PostImport, hooks.Document{})
	if err != nil {
		t.Error(err)
	}
	total, longest := 0, 0
	for _, line := range m.said {
		total += len(line)
		longest = max(longest, len(line))
	}
	if total > 2<<20 || longest > 5<<10 || statuses(results) != "post-import.d/10-wild ok" {
		t.Errorf("%d bytes, a line of %d, %v", total, longest, results)
	}
	if last := m.said[len(m.said)-1]; last != "post-import.d/10-wild: (38951428 more bytes are left out)" {
		t.Errorf("at the end: %q", last)
	}
}

// TestLeftRunning names a program in the background that holds the hook's output.
func TestLeftRunning(t *testing.T) {
	m := newMachine(t)
	m.Runner = leftOpen{}
	m.put("post-import.d/10-forks", "sleep 60 &")
	_, err := m.Run(t.Context(), hooks.PostImport, hooks.Document{})
	if err == nil || err.Error() != "hook post-import.d/10-forks: what it left running keeps its output open" {
		t.Error(err)
	}
}
