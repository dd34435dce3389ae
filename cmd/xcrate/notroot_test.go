package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// asNobody runs a program as a user without rights and checks its exit code.
func asNobody(t *testing.T, code int, dir, bin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s %s: exit code %d (%v), want %d\n%s", filepath.Base(bin), strings.Join(args, " "), got, err, code, out)
	}
	return string(out)
}

// TestNotRoot goes there and back as a user without rights: what cannot be done
// is said, and what can comes back the same.
func TestNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become somebody else")
	}
	dir, err := os.MkdirTemp("", "xcrate-nobody-") //nolint:usetesting // the directory t.TempDir lies in is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "xcrate")
	for from, to := range map[string]string{".": bin, "../../internal/hosttest/mksample": filepath.Join(dir, "mksample")} {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", to, from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, p := range []string{dir, bin, filepath.Join(dir, "mksample")} {
		if err := os.Chown(p, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, 0, dir, filepath.Join(dir, "mksample"), "-nodes", "5", "mn")
	asNobody(t, exitWarnings, dir, bin, "export", "--no-encrypt", "usb", "--root", "mn", "--tag", "one")
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "new"), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	refused := asNobody(t, exitRefused, dir, bin, "import", "--allow-unsigned", "usb", "--root", "new", "--yes")
	if !strings.Contains(refused, "not-root") {
		t.Errorf("refused with:\n%s", refused)
	}
	asNobody(t, exitWarnings, dir, bin, "import", "--allow-unsigned", "usb", "--root", "new", "--yes", "--allow", "not-root")
	asNobody(t, exitWarnings, dir, bin, "export", "--no-encrypt", "back", "--root", "new", "--tag", "one")
	first, again := config(t, filepath.Join(dir, "usb")), config(t, filepath.Join(dir, "back"))
	for i, k := range first.Kinds {
		if k != again.Kinds[i] {
			t.Errorf("kind %+v came back as %+v", k, again.Kinds[i])
		}
	}
	// A file that cannot be read is named, and nothing is left.
	secret := filepath.Join(dir, "mn/install/custom/closed")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil { // root's, not nobody's
		t.Fatal(err)
	}
	if out := asNobody(t, exitError, dir, bin, "export", "--no-encrypt", "other", "--root", "mn"); !strings.Contains(out, "custom/closed: permission denied") || !strings.Contains(out, "--ignore-unreadable") {
		t.Errorf("export of a file that cannot be read:\n%s", out)
	}
	if _, err := os.Lstat(filepath.Join(dir, "other")); err == nil {
		t.Error("the failed export left its destination behind")
	}
	listed := asNobody(t, exitWarnings, dir, bin, "export", "--no-encrypt", "other", "--root", "mn", "--ignore-unreadable")
	if !strings.Contains(listed, "could not be read, and are not in the snapshot:") || !strings.Contains(listed, "/install/custom/closed") {
		t.Errorf("export without what cannot be read:\n%s", listed)
	}
	asNobody(t, 0, dir, bin, "verify", "other")
	if out := asNobody(t, exitError, dir, bin, "export", "--no-encrypt", "live"); !strings.Contains(out, "not root") {
		t.Errorf("export of the live root:\n%s", out)
	}
}

// TestSetuid: a program that runs as its owner for whoever starts it does nothing.
func TestSetuid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to install it setuid")
	}
	dir, err := os.MkdirTemp("", "xcrate-setuid-") //nolint:usetesting // the directory t.TempDir lies in is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "xcrate")
	if out, err := exec.CommandContext(t.Context(), "cp", program(t), bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, mode := range []os.FileMode{0o755 | os.ModeSetuid, 0o755 | os.ModeSetgid} {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(bin, mode)); err != nil {
			t.Fatal(err)
		}
		if out := asNobody(t, exitError, dir, bin, "--version"); !strings.Contains(out, "installed setuid or setgid") {
			t.Errorf("%v: %s", mode, out)
		}
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody(t, exitOK, dir, bin, "--version")
}
