package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/sys/unix"

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

// TestWithoutSecrets: a snapshot for support has none of the sample's secrets, which lie
// in tables, in files of their own, and in scripts and configurations of administrators.
func TestWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 40, SingleOwner: os.Geteuid() != 0}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"hash.ks":     "rootpw --iscrypted $6$saltsalt$CANARY-hash",
		"snmpd.conf":  "rocommunity CANARY-community default",
		"fetch.sh":    "curl https://me:CANARY-url@site/x",
		"key.pem":     "-----BEGIN RSA PRIVATE KEY-----\nCANARY-key",
		"app.conf":    "db_password: CANARY-app",
		"of-table.sh": "ipmitool -P 'swordfish77' power on",
		"harmless.sh": "echo the password is asked for; read -s password",
	} {
		p := filepath.Join(mn, "install/custom", name)
		// The umask of this process is the program's, and what others cannot read is a secret.
		if err := errors.Join(os.WriteFile(p, []byte(content), 0o600), os.Chmod(p, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	sqlite(t, filepath.Join(mn, "etc/xcat/passwd.sqlite"), "UPDATE passwd SET password = 'swordfish77' WHERE key = 'xcat'")
	said := xcrate(t, exitWarnings, "export", usb, "--root", mn, "--without-secrets", "--json")
	c := config(t, usb)
	if _, has := c.Kind(artifact.KindSecrets); has || c.Secrets.State != artifact.SecretsLeftOut {
		t.Errorf("secrets: %+v", c.Secrets)
	}
	texts := map[artifact.Kind][]byte{"what was printed": []byte(said)}
	for _, k := range c.Kinds {
		texts[k.Kind] = layerText(t, usb, string(k.Kind))
	}
	for k, text := range texts {
		for _, secret := range []string{hosttest.Canary, "PRIVATE KEY-----", "$6$salt", "swordfish"} {
			if at := bytes.Index(text, []byte(secret)); at >= 0 {
				t.Errorf("kind %s has a secret: %.300q", k, text[max(0, at-200):])
			}
		}
	}
	if !bytes.Contains(texts[artifact.KindInstall], []byte("harmless.sh")) || !bytes.Contains(texts[artifact.KindDatabase], []byte("(left out)")) {
		t.Error("what is harmless is left out too, or nothing tells that there was a value")
	}
	if said := xcrate(t, exitRefused, "import", "--allow-unsigned", usb, "--root", t.TempDir(), "--yes", "--allow", "not-root"); !strings.Contains(said, "no node works after its import") {
		t.Errorf("import says: %s", said)
	}
	if said := xcrate(t, 0, "verify", usb); strings.Contains(said, "sealed") {
		t.Errorf("verify says: %s", said)
	}
	// The next export of all reads the files anew.
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "whole")
	if !bytes.Contains(layerText(t, usb+":whole", "install"), []byte("CANARY-app")) {
		t.Error("the next export has not what was left out")
	}
}

// TestNoCore: what was in memory does not become a file when the program crashes.
func TestNoCore(t *testing.T) {
	xcrate(t, 0, "--version")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 {
		t.Errorf("%+v, %v", limit, err)
	}
}

// TestHostKeyOpens: what was sealed to the host key of a machine is opened there without a
// word, and a key that asks for a passphrase is not tried.
func TestHostKeyOpens(t *testing.T) {
	dir := t.TempDir()
	mn, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "usb")
	sample(t, mn)
	key, locked := filepath.Join(dir, "ssh_host_ed25519_key"), filepath.Join(dir, "locked")
	for file, passphrase := range map[string]string{key: "", locked: "not asked for"} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	xcrate(t, exitWarnings, "export", usb, "--root", mn, "--packages", "none", "--encrypt-to", key+".pub", "-q")
	for name, c := range map[string]struct {
		keys []string
		code int
	}{
		"the machine it is for": {[]string{filepath.Join(dir, "missing"), locked, key}, exitOK},
		"another machine":       {[]string{locked}, exitError},
	} {
		var out, errs bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &errs)
		a.hooks, a.trustDir, a.hostKeys = "", "/nonexistent", c.keys
		code := a.run([]string{"xcrate", "import", usb, "--root", t.TempDir(), "--dry-run", "--allow", "not-root"})
		if code != c.code {
			t.Errorf("%s: exit code %d\n%s%s", name, code, &out, &errs)
		}
	}
}
