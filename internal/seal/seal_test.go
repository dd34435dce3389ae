package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/ssh"
	"oras.land/oras-go/v2/content/memory"

	"github.com/xcrate/xcrate/artifact"
)

const passphrase = "four words nobody guesses"

// sshKey returns a key pair as ssh-keygen writes it, protected by a passphrase if there
// is one.
func sshKey(t *testing.T, protect string) (public string, private []byte) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if protect != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(protect))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(sshPub)), pem.EncodeToMemory(block)
}

func ageKey(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestEveryRecipientOpens: any one of several is enough, and nobody else is.
func TestEveryRecipientOpens(t *testing.T) {
	id := ageKey(t)
	public, private := sshKey(t, "")
	lockedPublic, locked := sshKey(t, "secret")
	var r Recipients
	if err := errors.Join(r.AddFile([]byte("# vendor\n\n"+id.Recipient().String()+"\n"+public)), r.Add(lockedPublic), r.SetPassphrase(passphrase)); err != nil {
		t.Fatal(err)
	}
	if names := r.Names(); len(names) != 4 || names[3] != "a passphrase" {
		t.Errorf("names %q", names)
	}
	key, kept, err := r.Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(string) (string, error) { return "secret", nil }
	for name, with := range map[string]func(*Identities) error{
		"age":           func(i *Identities) error { return i.AddFile("f", []byte(id.String()), ask) },
		"ssh":           func(i *Identities) error { return i.AddFile("f", private, ask) },
		"protected ssh": func(i *Identities) error { return i.AddFile("f", locked, ask) },
		"passphrase": func(i *Identities) error {
			i.Passphrase = func() (string, error) { return passphrase, nil }
			return nil
		},
	} {
		var ids Identities
		if err := with(&ids); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if opened, err := ids.Open(kept[0].Envelopes); err != nil || opened.Text() != key.Text() {
			t.Errorf("%s: %v", name, err)
		}
	}
	var ids Identities
	if err := ids.AddFile("f", []byte(ageKey(t).String()), ask); err != nil {
		t.Fatal(err)
	}
	if _, err := ids.Open(kept[0].Envelopes); !errors.Is(err, ErrNoKey) {
		t.Errorf("of a stranger: %v", err)
	}
	ids.Passphrase = func() (string, error) { return passphrase + "!", nil }
	if _, err := ids.Open(kept[0].Envelopes); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

// TestKeyChangesWithRecipients: who was a recipient before opens nothing that comes later.
func TestKeyChangesWithRecipients(t *testing.T) {
	a, b := ageKey(t).Recipient().String(), ageKey(t).Recipient().String()
	to := func(phrase string, keys ...string) *Recipients {
		r := &Recipients{}
		for _, k := range keys {
			if err := r.Add(k); err != nil {
				t.Fatal(err)
			}
		}
		if phrase != "" {
			if err := r.SetPassphrase(phrase); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	first, kept, err := to(passphrase, a, b).Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r    *Recipients
		same bool
	}{
		"the same, in another order": {to(passphrase, b, a), true},
		"one less":                   {to(passphrase, a), false},
		"no passphrase":              {to("", a, b), false},
		"another passphrase":         {to(passphrase+"?", a, b), false},
	} {
		k, now, err := c.r.Key(kept)
		if err != nil || (k.Text() == first.Text()) != c.same {
			t.Errorf("%s: %v", name, err)
		}
		if now[0].Key != k.Text() {
			t.Errorf("%s: another key is kept", name)
		}
	}
	// Somebody else's file, or half of one, is not believed.
	broken := []Kept{kept[0]}
	broken[0].Key = "AGE-SECRET-KEY-1"
	if k, now, err := to("", a, b).Key(broken); err != nil || k.Text() == first.Text() || len(now) != 2 {
		t.Errorf("broken: %v", err)
	}
}

// TestErrorsShowNoKey: whatever a file holds, none of it is printed.
func TestErrorsShowNoKey(t *testing.T) {
	id := ageKey(t).String()
	_, locked := sshKey(t, "secret")
	ask := func(string) (string, error) { return "", errors.New("nobody to ask") }
	var r Recipients
	for _, err := range []error{
		r.Add(id), r.AddFile([]byte(id)), r.AddFile([]byte(id + "x")), r.AddFile(locked),
		new(Identities).AddFile("f", []byte(id+"\nAGE-SECRET-KEY-1QQQ"), ask),
		new(Identities).AddFile("f", locked[:len(locked)/2], ask),
		new(Identities).AddFile("f", append(locked[:100:100], "-----END OPENSSH PRIVATE KEY-----"...), ask),
	} {
		if err == nil || strings.Contains(err.Error(), "AGE-SECRET") || strings.Contains(err.Error(), string(locked[60:90])) {
			t.Errorf("%v", err)
		}
	}
	if _, err := ParseKey("AGE-SECRET-KEY-1QQQ"); err == nil || strings.Contains(err.Error(), "QQQ") {
		t.Error(err)
	}
	if len(r.Names()) > 0 {
		t.Errorf("recipients %q", r.Names())
	}
}

// sealedBlob stores plain sealed to k, and returns a snapshot whose only layer it is.
func sealedBlob(t *testing.T, k *Key, plain []byte, change func([]byte) []byte) (*memory.Store, *artifact.Snapshot) {
	t.Helper()
	var b bytes.Buffer
	w, err := k.Encrypt(&b)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	blob := b.Bytes()
	if change != nil {
		blob = change(blob)
	}
	desc := ocispec.Descriptor{MediaType: artifact.TypeTarAge, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	store := memory.New()
	if err := store.Push(t.Context(), desc, bytes.NewReader(blob)); err != nil {
		t.Fatal(err)
	}
	s := &artifact.Snapshot{}
	s.Manifest.Layers = []ocispec.Descriptor{desc}
	return store, s
}

// TestUnseal: what is cut off, changed or prolonged is an error, never a shorter file.
func TestUnseal(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // several chunks of 64 KiB
	for name, c := range map[string]struct {
		change func([]byte) []byte
		good   bool
	}{
		"good":              {nil, true},
		"cut off":           {func(b []byte) []byte { return b[:len(b)-70_000] }, false},
		"cut off at chunks": {func(b []byte) []byte { return b[:len(b)-(len(plain)%(64<<10)+16)] }, false},
		"changed":           {func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, false},
		"prolonged":         {func(b []byte) []byte { return append(b, 0) }, false},
		"not sealed":        {func([]byte) []byte { return plain }, false},
		"empty":             {func([]byte) []byte { return nil }, false},
	} {
		store, s := sealedBlob(t, k, bytes.Clone(plain), c.change)
		from, opened, err := k.Unseal(store, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := opened.Manifest.Layers[0].MediaType; got != artifact.TypeTar {
			t.Errorf("%s: media type %q", name, got)
		}
		r, err := from.Fetch(t.Context(), opened.Manifest.Layers[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if c.good != (err == nil && bytes.Equal(got, plain)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		_ = r.Close()
	}
}

// TestSealedFacts: what a config says of sealed tables is back only with the key.
func TestSealedFacts(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := artifact.Config{Secrets: &artifact.Secrets{State: artifact.SecretsSealed, Kinds: []artifact.Kind{artifact.KindDatabase}}}
	want := digest.FromString("rows")
	c.Database.Tables = []artifact.Table{{Name: "passwd", Rows: 1, Digest: want}}
	if c.Secrets.Facts, err = k.SealFacts(c.SealFacts()); err != nil {
		t.Fatal(err)
	}
	if got := c.Database.Tables[0].Digest; got != "" {
		t.Errorf("the config still says %s", got)
	}
	_, opened, err := k.Unseal(memory.New(), &artifact.Snapshot{Config: c})
	if err != nil || opened.Config.Database.Tables[0].Digest != want {
		t.Fatalf("%v, %v", opened, err)
	}
	if c.Database.Tables[0].Digest != "" {
		t.Error("the snapshot that was not opened says it too")
	}
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Unseal(memory.New(), &artifact.Snapshot{Config: c}); err == nil {
		t.Error("another key opens the facts")
	}
	c.Database.Tables = append(c.Database.Tables, artifact.Table{Name: "site"})
	if _, _, err := k.Unseal(memory.New(), &artifact.Snapshot{Config: c}); err == nil || !strings.Contains(err.Error(), `table "site"`) {
		t.Errorf("a table without a fact: %v", err)
	}
}

// TestEnvelopeAsksTooMuch: an envelope that would take gigabytes to try is not tried.
func TestEnvelopeAsksTooMuch(t *testing.T) {
	stanza := "-> scrypt " + base64.RawStdEncoding.EncodeToString(make([]byte, 16)) + " 30\n" + base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	var text strings.Builder
	w := armor.NewWriter(&text)
	if _, err := io.WriteString(w, "age-encryption.org/v1\n"+stanza+"\n--- "+base64.RawStdEncoding.EncodeToString(make([]byte, 32))+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ids := Identities{Passphrase: func() (string, error) { return passphrase, nil }}
	_, err := ids.Open([]artifact.Envelope{{To: artifact.EnvelopePassphrase, Age: text.String()}})
	if err == nil || !strings.Contains(err.Error(), "work factor too large") {
		t.Errorf("%v", err)
	}
}

// TestProtectedIdentity: a file of keys that age itself protected, in its armor or bare.
func TestProtectedIdentity(t *testing.T) {
	id := ageKey(t)
	to, err := age.NewScryptRecipient("secret")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(10)
	bare, err := encrypt([]byte("# my key\n"+id.String()+"\n"), to)
	if err != nil {
		t.Fatal(err)
	}
	var armored bytes.Buffer
	w := armor.NewWriter(&armored)
	if _, err := w.Write(bare); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var r Recipients
	if err := r.Add(id.Recipient().String()); err != nil {
		t.Fatal(err)
	}
	key, kept, err := r.Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"bare": bare, "armored": armored.Bytes()} {
		var ids Identities
		if err := ids.AddFile("f", content, func(string) (string, error) { return "wrong", nil }); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("%s: wrong passphrase: %v", name, err)
		}
		if err := ids.AddFile("f", content, func(string) (string, error) { return "secret", nil }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if opened, err := ids.Open(kept[0].Envelopes); err != nil || opened.Text() != key.Text() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
