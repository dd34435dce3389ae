package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// blobOpened is an open of a blob as strace shows it.
var blobOpened = regexp.MustCompile(`open[a-z0-9]*\([^)]*[0-9a-f]{64}"`)

// TestUnsignedOpensNoBlob has the kernel tell what an import opens of a snapshot that the
// policy refuses: the index, and no blob. Whatever lies in one is never parsed.
func TestUnsignedOpensNoBlob(t *testing.T) {
	hosttest.NeedProgram(t, "strace", "apt-get install strace")
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	sample(t, mn)
	xcrate(t, 0, "keygen", filepath.Join(dir, "vendor"), "--no-passphrase")
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", "none", "-q")
	bin := program(t)
	opened := func(args ...string) (string, int) {
		log := filepath.Join(dir, "strace.log")
		argv := append([]string{"-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log, bin, "import", usb, "--root", t.TempDir()}, args...)
		cmd := exec.CommandContext(t.Context(), "strace", argv...)
		out, err := cmd.CombinedOutput()
		b, rerr := os.ReadFile(log)
		if rerr != nil {
			t.Fatalf("%v, %v\n%s", err, rerr, out)
		}
		return string(b), cmd.ProcessState.ExitCode()
	}
	log, code := opened("--yes", "--key", filepath.Join(dir, "vendor.pem"))
	if code != exitRefused || !strings.Contains(log, "index.json") {
		t.Fatalf("exit code %d\n%s", code, log)
	}
	if found := blobOpened.FindString(log); found != "" {
		t.Errorf("opened: %s", found)
	}
	// The same eyes see one when there is one.
	if log, _ = opened("--dry-run", "--allow-unsigned"); !blobOpened.MatchString(log) {
		t.Error("a dry run opens no blob either: the test sees nothing")
	}
}

// TestNoNetwork: what looks at a snapshot on a medium asks the kernel for no socket.
func TestNoNetwork(t *testing.T) {
	hosttest.NeedProgram(t, "strace", "apt-get install strace")
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	sample(t, mn)
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", "none", "-q")
	bin := program(t)
	for _, args := range [][]string{{"verify", usb}, {"inspect", usb}, {"list", usb}, {"copy", usb, filepath.Join(dir, "mn.iso")}} {
		log := filepath.Join(dir, "strace.log")
		cmd := exec.CommandContext(t.Context(), "strace", append([]string{"-f", "-qq", "-e", "trace=socket,connect", "-o", log, bin}, args...)...)
		out, err := cmd.CombinedOutput()
		b, rerr := os.ReadFile(log)
		if err != nil || rerr != nil {
			t.Fatalf("%v, %v\n%s", err, rerr, out)
		}
		if strings.Contains(string(b), "socket(") {
			t.Errorf("%s: %s", args[0], b)
		}
	}
}

// TestCosign: the original verifies what is signed here, without a network, and a snapshot
// is signed with a key of its.
func TestCosign(t *testing.T) {
	hosttest.NeedProgram(t, "cosign", "make tools, then put bin/tools on PATH")
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	sample(t, mn)
	key, err := filepath.Abs("../../internal/sign/testdata/cosign")
	fail(t, err)
	passphrase := filepath.Join(dir, "passphrase")
	fail(t, os.WriteFile(passphrase, []byte("only for tests\n"), 0o600))
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", "none", "-q")
	bin := program(t)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", `exec "$0" sign "$1" --key "$2.key" --passphrase-fd 3 3<"$3"`, bin, usb, key, passphrase).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	xcrate(t, 0, "verify", usb, "--key", key+".pub")
	bundles, err := filepath.Glob(filepath.Join(usb, "signature-*.sigstore.json"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("%q, %v", bundles, err)
	}
	s, err := new(app).openSnapshot(t.Context(), usb, sourceOptions{})
	fail(t, err)
	defer func() { fail(t, s.Close()) }()
	verify := func(file string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "cosign", "verify-blob", "--bundle", bundles[0], "--key", key+".pub", "--insecure-ignore-tlog=true", file).CombinedOutput()
	}
	if out, err := verify(filepath.Join(usb, "blobs/sha256", s.Descriptor.Digest.Encoded())); err != nil || !strings.Contains(string(out), "Verified OK") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := verify(filepath.Join(usb, "blobs/sha256", s.Manifest.Config.Digest.Encoded())); err == nil {
		t.Errorf("another file: %s", out)
	}
}
