package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// A push that is killed in the middle of a blob is done by the next run, whatever became
// of its session. This registry forgets an upload that broke in a chunk; that others go
// on is shown with one in memory, in internal/registry.
func TestKilledPush(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	t.Setenv("XCRATE_CACHE", cache)
	bin := program(t)
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	const size = 48 << 20
	addNoise(t, mn, 1, size)
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "v1", "-q")
	r := hosttest.DockerRegistry(t, hosttest.RegistryOptions{})
	push := exec.Command(bin, "push", usb, r.Host+"/mn/c7", "--plain-http", "-q", "--parallel", "1")
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if sessions, _ := filepath.Glob(filepath.Join(cache, "upload-*.json")); len(sessions) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no upload in 30 s")
		}
	}
	_ = push.Process.Kill() // it may have ended: then the next line says so
	if err := push.Wait(); err == nil {
		t.Fatal("the push ended before it was killed")
	}
	var result copyResult
	if err := json.Unmarshal([]byte(xcrate(t, 0, "push", usb, r.Host+"/mn/c7", "--plain-http", "-q", "--json")), &result); err != nil {
		t.Fatal(err)
	}
	xcrate(t, 0, "verify", r.Host+"/mn/c7:v1", "--plain-http", "-q")
	t.Logf("the second run sent %d of %d bytes", result.Written, result.Size)
	if left, _ := filepath.Glob(filepath.Join(cache, "upload-*.json")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
