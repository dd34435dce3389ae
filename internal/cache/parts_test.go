package cache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	load := func(dest string) *Parts {
		t.Helper()
		p, err := LoadParts(dir, "/", dest)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := Part{Digest: digest.FromString("x"), Size: 7}
	first := load("/media/usb")
	if err := first.Add("install/1", want); err != nil {
		t.Fatal(err)
	}
	if got := first.Had("install/1"); got != (Part{}) {
		t.Errorf("known at once: %+v", got)
	}
	if got := load("/media/usb").Had("install/1"); got != want {
		t.Errorf("after a kill: %+v", got)
	}
	if got := load("/media/other").Had("install/1"); got != (Part{}) {
		t.Errorf("of another place: %+v", got)
	}
	if err := load("/media/usb").End(); err != nil {
		t.Fatal(err)
	}
	if got := load("/media/usb").Had("install/1"); got != (Part{}) {
		t.Errorf("after the end: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, first.name), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := LoadParts(dir, "/", "/media/usb"); err == nil || p.Had("x") != (Part{}) {
		t.Errorf("damaged: %v", err)
	}
}
