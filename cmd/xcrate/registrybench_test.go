package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// BenchmarkRegistry sends a snapshot of half a gigabyte to a registry on this machine
// and fetches it, side by side with skopeo.
func BenchmarkRegistry(b *testing.B) {
	hosttest.NeedProgram(b, "skopeo", "apt-get install skopeo")
	dir := b.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		b.Fatal(err)
	}
	const size, files = 128 << 20, 4
	for i := range files {
		f, err := os.Create(filepath.Join(mn, "install/custom", fmt.Sprint("random", i)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(f, rand.Reader, size); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	xcrate(b, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "v1", "-q")
	r := hosttest.DockerRegistry(b, hosttest.RegistryOptions{})
	n := 0
	skopeo := func(args ...string) {
		args = append([]string{"copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--src-tls-verify=false"}, args...)
		if out, err := exec.Command("skopeo", args...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	// Each run has a repository of its own: what is there is not sent.
	for _, one := range []struct {
		name string
		do   func(at, to string)
	}{
		{"push/xcrate", func(at, _ string) { xcrate(b, 0, "push", usb+":v1", at, "--plain-http", "-q") }},
		{"push/skopeo", func(at, _ string) { skopeo("oci:"+usb+":v1", "docker://"+at+":v1") }},
		{"pull/xcrate", func(_, to string) { xcrate(b, 0, "pull", r.Host+"/mn/c7:v1", to, "--plain-http", "-q") }},
		{"pull/skopeo", func(_, to string) { skopeo("docker://"+r.Host+"/mn/c7:v1", "oci:"+to+":v1") }},
	} {
		if one.name == "pull/xcrate" {
			xcrate(b, 0, "push", usb+":v1", r.Host+"/mn/c7", "--plain-http", "-q")
		}
		b.Run(one.name, func(b *testing.B) {
			b.SetBytes(files * size)
			for b.Loop() {
				n++
				to := filepath.Join(dir, fmt.Sprint("to", n))
				one.do(fmt.Sprintf("%s/mn/run%d", r.Host, n), to)
				b.StopTimer()
				os.RemoveAll(to)
				os.RemoveAll(filepath.Join(r.Dir, "docker/registry/v2/repositories/mn", fmt.Sprint("run", n)))
				b.StartTimer()
			}
		})
	}
}
