package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

// TestStdin hands a program something to read that no message shows, whatever
// prints the command or its failure.
func TestStdin(t *testing.T) {
	c := host.Command{Name: "cat", Stdin: []byte("the secret")}
	out, err := host.Exec{}.Run(t.Context(), c)
	if err != nil || string(out) != "the secret" {
		t.Errorf("cat: %q, %v", out, err)
	}
	_, err = host.Exec{}.Run(t.Context(), host.Command{Name: "sh", Args: []string{"-c", "cat >/dev/null; exit 3"}, Stdin: c.Stdin})
	if host.ExitCode(err) != 3 {
		t.Errorf("exit code of %v", err)
	}
	if said := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, c, err); strings.Contains(said, "the secret") || strings.Contains(said, fmt.Sprint(c.Stdin)) {
		t.Errorf("printed: %s", said)
	}
	if out, err := (host.Exec{}).Run(t.Context(), host.Command{Name: "cat"}); err != nil || len(out) > 0 {
		t.Errorf("without stdin: %q, %v", out, err)
	}
}

// TestStreamed gives Output all of it and returns nothing.
func TestStreamed(t *testing.T) {
	var all bytes.Buffer
	c := host.Command{Name: "sh", Args: []string{"-c", "echo one; echo two >&2"}, Output: &all, Streamed: true}
	out, err := host.Exec{}.Run(t.Context(), c)
	if err != nil || len(out) > 0 || all.Len() != len("one\ntwo\n") {
		t.Errorf("%q, %q, %v", out, all.String(), err)
	}
}

func TestLookAbsolute(t *testing.T) {
	if p, err := (host.Exec{}).Look("", "/bin/sh"); err != nil || p != "/bin/sh" {
		t.Errorf("/bin/sh: %q, %v", p, err)
	}
	for _, p := range []string{"/etc/passwd", "/etc", "/none/at/all"} {
		if _, err := (host.Exec{}).Look("", p); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// TestFamily cancels a program that has a child: with Family the
// child is gone when Run returns.
func TestFamily(t *testing.T) {
	marks := filepath.Join(t.TempDir(), "marks")
	script := `(while :; do echo x >>` + marks + `; sleep 0.02; done) & wait`
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if st, err := os.Stat(marks); err == nil && st.Size() > 0 {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if _, err := (host.Exec{}).Run(ctx, host.Command{Name: "sh", Args: []string{"-c", script}, Family: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	before, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if after, err := os.ReadFile(marks); err != nil || len(after) > len(before) {
		t.Errorf("the child goes on: %d bytes, then %d, %v", len(before), len(after), err)
	}
}

// TestPrivate keeps the output out of the error, and hands it over all the same.
func TestPrivate(t *testing.T) {
	var said bytes.Buffer
	c := host.Command{Name: "sh", Args: []string{"-c", `printf 'the %s' secret; exit 3`}, Private: true, Output: &said}
	_, err := host.Exec{}.Run(t.Context(), c)
	if host.ExitCode(err) != 3 || strings.Contains(err.Error(), "the secret") || said.String() != "the secret" {
		t.Errorf("%v; output %q", err, said.String())
	}
}
