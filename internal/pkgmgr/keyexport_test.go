package pkgmgr

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPublicKey gives rpm the key that verified a package, and nothing else: it
// says the same. One key signs by itself, the other by a subkey.
func TestPublicKey(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		sub  bool
	}{
		{"primary", []string{"rsa2048", "sign", "never"}, false},
		{"subkey", []string{"rsa2048", "cert", "never"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := "Test <" + tt.name + "@example.com>"
			home, public := gpgHome(t, name, tt.args...)
			if tt.sub {
				gpg := []string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}
				id := strings.Fields(command(t, "gpg", append(gpg, "--list-keys", "--with-colons")...))
				command(t, "gpg", append(gpg, "--quick-add-key", fingerprint(t, id), "rsa2048", "sign", "never")...)
				public = command(t, "gpg", append(gpg, "--armor", "--export")...)
			}
			file := unsigned(t)
			rpmsign(t, home, name, file)
			_, other := gpgHome(t, "Other", "ed25519", "sign", "never")
			s := checkFile(t, keyring(t, other+public), file)
			key, err := s.PublicKey()
			if err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
			if key.ID != s.KeyID || key.Name != name {
				t.Errorf("key %s %q, want %s %q", key.ID, key.Name, s.KeyID, name)
			}
			db := t.TempDir()
			path := filepath.Join(db, "RPM-GPG-KEY-"+key.ID)
			write(t, path, key.Armored)
			command(t, "rpm", "--dbpath", db, "--import", path)
			if out := command(t, "rpmkeys", "--dbpath", db, "--checksig", file); !strings.HasSuffix(out, ": digests signatures OK\n") {
				t.Errorf("rpm says %s", out)
			}
			if again := checkFile(t, keyring(t, string(key.Armored)), file); again.State != Verified {
				t.Errorf("the key that was written: %+v", again)
			}
			if _, err := checkFile(t, keyring(t, other), file).PublicKey(); err == nil {
				t.Error("a key that is not there was returned")
			}
		})
	}
}

// fingerprint finds that of the primary key in what gpg --with-colons says.
func fingerprint(t *testing.T, lines []string) string {
	t.Helper()
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "fpr:"); ok {
			return strings.Trim(rest, ":")
		}
	}
	t.Fatalf("no fingerprint in %q", lines)
	return ""
}

// TestNoSecretIsExported checks packages by a file that holds the secret key too:
// what is exported does not.
func TestNoSecretIsExported(t *testing.T) {
	home, _ := gpgHome(t, "Secret", "rsa2048", "sign", "never")
	secret := command(t, "gpg", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys")
	file := unsigned(t)
	rpmsign(t, home, "Secret", file)
	s := checkFile(t, keyring(t, secret), file)
	if s.State != Verified {
		t.Fatalf("%+v", s)
	}
	if key, err := s.PublicKey(); err == nil {
		t.Errorf("exported: %s", key.Armored)
	}
}
