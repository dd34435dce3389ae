package layout

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
)

// tool runs a program of another project on a layout.
func tool(t *testing.T, install, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		unavailable(t, "%s: %v; install it with: %s", name, err, install)
	}
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return out
}

const (
	installSkopeo = "apt-get install skopeo"
	installUmoci  = "apt-get install umoci"
	installOras   = "go install oras.land/oras/cmd/oras@v1.3.6"
	installCrane  = "go install github.com/google/go-containerregistry/cmd/crane@v0.22.1"
)

// two makes a layout with two snapshots under three tags.
func two(t *testing.T) (dir string, first, second ocispec.Descriptor) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "d")
	first = save(t, dir, "one", "v1", "latest")
	second = save(t, dir, "two", "v2", "latest")
	return dir, first, second
}

// oras-go as a library, over the filesystem as import uses it.
func TestOrasGo(t *testing.T) {
	dir, one, second := two(t)
	store, err := oci.NewFromFS(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]ocispec.Descriptor{"v1": one, "v2": second, "latest": second} {
		got, err := store.Resolve(t.Context(), tag)
		if err != nil || got.Digest != want.Digest {
			t.Errorf("%s: %+v, %v", tag, got, err)
		}
	}
	dst, err := oci.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oras.Copy(t.Context(), store, "v1", dst, "copy", oras.DefaultCopyOptions); err != nil {
		t.Error(err)
	}
}

func TestOras(t *testing.T) {
	dir, one, _ := two(t)
	tags := tool(t, installOras, "oras", "repo", "tags", "--oci-layout", dir)
	if got := strings.Fields(string(tags)); strings.Join(got, " ") != "latest v1 v2" {
		t.Errorf("tags %v", got)
	}
	got := tool(t, installOras, "oras", "manifest", "fetch", "--oci-layout", dir+":v1")
	if !bytes.Equal(got, read(t, blobPath(dir, one))) {
		t.Errorf("manifest %s", got)
	}
	// Into a layout of ours, beside what is there.
	to := filepath.Join(t.TempDir(), "to")
	kept := save(t, to, "kept", "kept")
	tool(t, installOras, "oras", "cp", "--from-oci-layout", "--to-oci-layout", dir+":v1", to+":v1")
	mustVerify(t, to, "v1", one)
	third := save(t, to, "three", "latest")
	mustVerify(t, to, "latest", third)
	mustVerify(t, to, "kept", kept)
	mustVerify(t, to, "v1", one)
}

func TestSkopeo(t *testing.T) {
	dir, one, second := two(t)
	got := tool(t, installSkopeo, "skopeo", "inspect", "--raw", "oci:"+dir+":v1")
	if !bytes.Equal(got, read(t, blobPath(dir, one))) {
		t.Errorf("manifest %s", got)
	}
	to := filepath.Join(t.TempDir(), "to")
	tool(t, installSkopeo, "skopeo", "copy", "--all", "--preserve-digests", "--insecure-policy", "oci:"+dir+":latest", "oci:"+to+":copy")
	mustVerify(t, to, "copy", second)
	third := save(t, to, "three", "latest")
	mustVerify(t, to, "copy", second)
	mustVerify(t, to, "latest", third)
	tool(t, installSkopeo, "skopeo", "copy", "--all", "--preserve-digests", "--insecure-policy", "oci:"+dir+":v1", "oci:"+to+":more")
	mustVerify(t, to, "more", one)
}

func TestUmoci(t *testing.T) {
	dir, _, _ := two(t)
	got := strings.Fields(string(tool(t, installUmoci, "umoci", "ls", "--layout", dir)))
	if strings.Join(got, " ") != "latest v1 v2" {
		t.Errorf("tags %v", got)
	}
}

// crane pushes layouts to registries only; its registry is at hand for that.
func TestCrane(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one", "v1")
	if _, err := exec.LookPath("crane"); err != nil {
		unavailable(t, "crane: %v; install it with: %s", err, installCrane)
	}
	registry := exec.Command("crane", "registry", "serve", "--address", "127.0.0.1:0")
	out, err := registry.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = registry.Process.Kill()
		_ = registry.Wait() // killed: that is its error
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	_, port, found := strings.Cut(strings.TrimSpace(string(line[:n])), "port ")
	if !found {
		t.Fatalf("crane registry serve says %q", line[:n])
	}
	place := "127.0.0.1:" + port + "/mn/c7:v1"
	tool(t, installCrane, "crane", "push", "--insecure", dir, place)
	if got := strings.TrimSpace(string(tool(t, installCrane, "crane", "digest", "--insecure", place))); got != one.Digest.String() {
		t.Errorf("digest %s, want %s", got, one.Digest)
	}
	back := filepath.Join(t.TempDir(), "back")
	tool(t, installCrane, "crane", "pull", "--insecure", "--format", "oci", place, back)
	mustVerify(t, back, "", one)
}
