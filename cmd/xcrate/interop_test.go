package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// foreign runs a program of another project and returns what it prints.
func foreign(t *testing.T, args ...string) string {
	t.Helper()
	install := map[string]string{"skopeo": "apt-get install skopeo", "umoci": "apt-get install umoci"}[args[0]]
	if install == "" {
		install = "make tools"
	}
	hosttest.NeedProgram(t, args[0], install)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// digestOf is the digest of the snapshot that ref names.
func digestOf(t *testing.T, ref string, flags ...string) string {
	t.Helper()
	for line := range strings.Lines(xcrate(t, 0, append([]string{"verify", ref}, flags...)...)) {
		if digest, found := strings.CutPrefix(strings.TrimSpace(line), "digest  "); found {
			return digest
		}
	}
	t.Fatalf("verify %s says no digest", ref)
	return ""
}

// TestInterop sends a snapshot through programs of others, from us and to us, by way of
// two registries. Its digest is the same everywhere, and what comes back is imported.
func TestInterop(t *testing.T) {
	mn, usb := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "v1", "-q")
	want := digestOf(t, usb)
	for name, start := range map[string]func() *hosttest.Registry{
		"docker-registry": func() *hosttest.Registry { return hosttest.DockerRegistry(t, hosttest.RegistryOptions{}) },
		"crane":           func() *hosttest.Registry { return hosttest.CraneRegistry(t) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start()
			at := r.Host + "/mn/c7"
			xcrate(t, 0, "push", usb, at, "--plain-http", "--tag", "v1")
			oursByOthers(t, at, want)
			othersByUs(t, usb, at, want)
			importedFrom(t, at+":v1", want)
		})
	}
}

// oursByOthers reads what push sent.
func oursByOthers(t *testing.T, at, want string) {
	t.Helper()
	back := func() string { return filepath.Join(t.TempDir(), "back") }
	if got := strings.TrimSpace(foreign(t, "crane", "digest", "--insecure", at+":v1")); got != want {
		t.Errorf("crane digest: %s, want %s", got, want)
	}
	foreign(t, "crane", "manifest", "--insecure", at+":v1")
	if got := foreign(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+at+":v1"); !strings.Contains(got, "vnd.xcrate.snapshot") {
		t.Errorf("skopeo inspect --raw: %s", got)
	}
	dir := back()
	foreign(t, "skopeo", "copy", "--all", "--insecure-policy", "--src-tls-verify=false", "docker://"+at+":v1", "oci:"+dir+":v1")
	if got := digestOf(t, dir+":v1"); got != want {
		t.Errorf("skopeo copy: %s, want %s", got, want)
	}
	if got := foreign(t, "umoci", "ls", "--layout", dir); !strings.Contains(got, "v1") {
		t.Errorf("umoci ls: %s", got)
	}
	dir = back()
	foreign(t, "oras", "cp", "--from-plain-http", "--to-oci-layout", at+":v1", dir+":v1")
	if got := digestOf(t, dir+":v1"); got != want {
		t.Errorf("oras cp: %s, want %s", got, want)
	}
	foreign(t, "oras", "discover", "--plain-http", at+":v1")
	dir = back()
	foreign(t, "regctl", "image", "copy", "--host", "reg="+strings.Split(at, "/")[0]+",tls=disabled", at+":v1", "ocidir://"+dir+":v1")
	if got := digestOf(t, dir+":v1"); got != want {
		t.Errorf("regctl image copy: %s, want %s", got, want)
	}
}

// othersByUs pulls what programs of others pushed.
func othersByUs(t *testing.T, usb, at, want string) {
	t.Helper()
	foreign(t, "skopeo", "copy", "--all", "--insecure-policy", "--dest-tls-verify=false", "oci:"+usb+":v1", "docker://"+at+":skopeo")
	foreign(t, "oras", "cp", "--from-oci-layout", "--to-plain-http", usb+":v1", at+":oras")
	foreign(t, "regctl", "image", "copy", "--host", "reg="+strings.Split(at, "/")[0]+",tls=disabled", "ocidir://"+usb+":v1", at+":regctl")
	foreign(t, "crane", "copy", "--insecure", at+":v1", at+"-copy:crane")
	for _, ref := range []string{at + ":skopeo", at + ":oras", at + ":regctl", at + "-copy:crane"} {
		to := filepath.Join(t.TempDir(), "to")
		xcrate(t, 0, "pull", ref, to, "--plain-http")
		if got := digestOf(t, to); got != want {
			t.Errorf("pull %s: %s, want %s", ref, got, want)
		}
	}
	if got := digestOf(t, at+":oras", "--plain-http"); got != want {
		t.Errorf("verify %s:oras: %s, want %s", at, got, want)
	}
}

// importedFrom puts a snapshot back straight from a registry.
func importedFrom(t *testing.T, ref, want string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "new")
	if err := hosttest.BaseRoot(root); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	args := []string{"import", "--allow-unsigned", ref, "--plain-http", "--root", root, "--yes", "--skip", "packages", "--cache-dir", cache}
	xcrate(t, exitWarnings, args...)
	if got := digestOf(t, cache); got != want {
		t.Errorf("in the cache: %s, want %s", got, want)
	}
	if out := xcrate(t, 0, args...); !strings.Contains(out, "Nothing to do") {
		t.Errorf("second import:\n%s", out)
	}
}
