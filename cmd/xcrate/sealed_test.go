package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestSealedGivesNothingAway looks at all that a finder of the stick sees, and at what
// stays on the machine.
func TestSealedGivesNothingAway(t *testing.T) {
	dir := t.TempDir()
	mn, usb, cache := filepath.Join(dir, "mn"), filepath.Join(dir, "usb"), filepath.Join(dir, "cache")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 40, SingleOwner: os.Geteuid() != 0}); err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	said := xcrate(t, exitWarnings, "export", usb, "--root", mn, "--cache", cache, "--packages", "none", "--encrypt-to", id.Recipient().String(), "--json")
	said += xcrate(t, 0, "inspect", usb, "--json")
	for _, secret := range []string{hosttest.Canary, "AGE-SECRET-KEY-"} {
		if strings.Contains(said, secret) {
			t.Errorf("%q was printed", secret)
		}
	}
	s, err := new(app).openSnapshot(t.Context(), usb, sourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, k := range []artifact.Kind{artifact.KindSecrets, artifact.KindDatabase} {
		for _, l := range s.Layers(k) {
			b, err := os.ReadFile(filepath.Join(usb, "blobs/sha256", l.Digest.Encoded()))
			if err != nil || !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n")) || bytes.Contains(b, []byte(hosttest.Canary)) {
				t.Errorf("kind %s: %v, or it is not sealed", k, err)
			}
		}
	}
	// A digest of a short secret tells who guesses it that he is right.
	for _, table := range s.Config.Database.Tables {
		if table.Digest != "" {
			t.Fatalf("the config has the digest of table %q", table.Name)
		}
	}
	err = s.Catalog(t.Context(), s, func(e artifact.Entry) error {
		sealed := e.Kind == artifact.KindSecrets || e.Kind == artifact.KindDatabase
		if e.Type == artifact.TypeFile && sealed != strings.HasPrefix(e.Digest, "hmac-sha256:") {
			t.Errorf("kind %s, %q: digest %s", e.Kind, e.Path, e.Digest)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = filepath.WalkDir(cache, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil && st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
		b, rerr := os.ReadFile(p)
		if rerr == nil && bytes.Contains(b, []byte(hosttest.Canary)) {
			t.Errorf("%s holds a secret of the node", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	modes(t, usb)
}
