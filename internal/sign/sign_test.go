package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(out), err
}

// TestOpenSSL: the program that is on every distro verifies what is signed here, with the
// key that is written here, and notices a changed byte.
func TestOpenSSL(t *testing.T) {
	key, manifest := newKey(t), []byte(`{"schemaVersion":2}`)
	b, err := Sign(key, digest.FromBytes(manifest))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(b, digest.FromBytes(manifest))
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublic(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"dgst", "-sha256", "-verify", write(t, "pub", public), "-signature", write(t, "sig", s.Raw)}
	if out, err := openssl(t, append(args, write(t, "manifest", manifest))...); err != nil || out != "Verified OK\n" {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := openssl(t, append(args, write(t, "other", append(manifest, ' ')))...); err == nil {
		t.Errorf("another manifest: %s", out)
	}
}

// TestKeysOfOthers: keys that openssl and cosign wrote are read, each with its passphrase.
func TestKeysOfOthers(t *testing.T) {
	key := newKey(t)
	plain, err := MarshalPrivate(key, "")
	if err != nil {
		t.Fatal(err)
	}
	p := write(t, "key", plain)
	for name, args := range map[string][]string{
		"PKCS#8":        {"pkcs8", "-topk8", "-nocrypt", "-in", p},
		"SEC 1":         {"ec", "-in", p},
		"PBES2, PBKDF2": {"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret", "-in", p},
		"PBES2, scrypt": {"pkcs8", "-topk8", "-scrypt", "-passout", "pass:secret", "-in", p},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if said, err := openssl(t, append(args, "-out", out)...); err != nil {
			t.Fatalf("%s: %s", name, said)
		}
		content, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePrivate(content, func() (string, error) { return "secret", nil })
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "PBES2") {
			if _, err := ParsePrivate(content, func() (string, error) { return "wrong", nil }); !errors.Is(err, ErrWrongPassphrase) {
				t.Errorf("%s: wrong passphrase: %v", name, err)
			}
		}
	}
	// And openssl reads what is encrypted here.
	mine, err := MarshalPrivate(key, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := openssl(t, "pkey", "-in", write(t, "mine", mine), "-passin", "pass:secret", "-noout"); err != nil {
		t.Errorf("openssl: %s", out)
	}
}

// TestCosignKeyFile reads a key file as cosign 3.0 writes it, whose passphrase is known.
func TestCosignKeyFile(t *testing.T) {
	content, err := os.ReadFile("testdata/cosign.key")
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile("testdata/cosign.pub")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParsePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivate(content, func() (string, error) { return "only for tests", nil })
	if err != nil || !key.PublicKey.Equal(keys[0]) {
		t.Errorf("%v", err)
	}
	if _, err := ParsePrivate(content, func() (string, error) { return "x", nil }); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	block, _ := pem.Decode(content)
	block.Bytes = bytes.Replace(block.Bytes, []byte(`"N":65536`), []byte(`"N":67108864`), 1)
	if _, err := ParsePrivate(pem.EncodeToMemory(block), func() (string, error) { return "x", nil }); err == nil || errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a file that asks for 64 GiB: %v", err)
	}
}

// TestOnlyTheKeyCounts: whatever a bundle says of itself.
func TestOnlyTheKeyCounts(t *testing.T) {
	key, other := newKey(t), newKey(t)
	manifest := digest.FromString("manifest")
	b, err := Sign(key, manifest)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(b, manifest)
	if err != nil || !s.By(&key.PublicKey) || s.By(&other.PublicKey) || s.Hint != Fingerprint(&key.PublicKey) {
		t.Errorf("%+v, %v", s, err)
	}
	// The digest in the bundle is still that of the manifest that was signed.
	if s, err := Parse(b, digest.FromString("forged")); err != nil || s.By(&key.PublicKey) {
		t.Errorf("of another manifest: %v", err)
	}
	if k, ok := Verify([]Signature{s}, []Trusted{{&other.PublicKey, "other.pem"}, {&key.PublicKey, "vendor.pem"}}); !ok || k.From != "vendor.pem" {
		t.Errorf("%+v, %v", k, ok)
	}
	if _, ok := Verify([]Signature{s}, nil); ok {
		t.Error("verified by no key")
	}
	for name, content := range map[string][]byte{
		"empty": nil, "no JSON": []byte("x"), "nothing in it": []byte("{}"),
		"another version": bytes.Replace(b, []byte("v0.3"), []byte("v0.9"), 1),
		"DSSE":            []byte(`{"mediaType":"` + TypeBundle + `","dsseEnvelope":{}}`),
		"large":           append(bytes.Repeat([]byte(" "), MaxBundle), b...),
	} {
		if _, err := Parse(content, manifest); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Sign(key, "sha512:00"); err == nil {
		t.Error("signed a digest of another algorithm")
	}
}

// TestOtherKeys: what is no P-256 key is refused by name, and nothing of it is shown.
func TestOtherKeys(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{ed, p384} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		content := pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der})
		if _, err := ParsePrivate(content, nil); !errors.Is(err, ErrKeyType) {
			t.Errorf("%T: %v", key, err)
		}
	}
	public, err := MarshalPublic(&newKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{nil, []byte("x"), public, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")} {
		if _, err := ParsePrivate(content, nil); err == nil || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%q: %v", content, err)
		}
	}
	private, err := MarshalPrivate(newKey(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePublic(private); err == nil || !strings.Contains(err.Error(), "trust takes public keys") {
		t.Errorf("a private key to be trusted: %v", err)
	}
}

// FuzzParse: a bundle comes from a stranger's stick.
func FuzzParse(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	manifest := digest.FromString("manifest")
	b, err := Sign(key, manifest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"mediaType":"` + TypeBundle + `","messageSignature":{"signature":"MEUCIQ=="}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := Parse(content, manifest)
		if err == nil && s.By(&key.PublicKey) && !bytes.Equal(content, b) {
			// The signature is in it, whatever else is.
			if again, err := Parse(b, manifest); err != nil || !bytes.Equal(again.Raw, s.Raw) {
				t.Errorf("another signature verifies: %q", content)
			}
		}
	})
}
