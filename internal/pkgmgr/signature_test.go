package pkgmgr

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/rpmpack"
	"github.com/opencontainers/go-digest"
)

// gpgHome makes a GnuPG home with one key of a sort and returns it and the
// armored public key.
func gpgHome(t *testing.T, name string, args ...string) (home, public string) {
	t.Helper()
	need(t, "gpg", "rpmsign")
	home, err := os.MkdirTemp("", "gpg") //nolint:usetesting // the agent's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command(t, "gpgconf", "--homedir", home, "--kill", "all")
		os.RemoveAll(home)
	})
	gpg := []string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}
	command(t, "gpg", append(append(gpg, "--quick-gen-key", name), args...)...)
	return home, command(t, "gpg", append(gpg, "--armor", "--export")...)
}

// rpmsign signs file with the one key in home.
func rpmsign(t *testing.T, home, name, file string, more ...string) {
	t.Helper()
	gpg, err := exec.LookPath("gpg") // which rpm does not do
	if err != nil {
		t.Fatal(err)
	}
	command(t, "rpmsign", append([]string{"--define", "__gpg " + gpg, "--define", "_gpg_path " + home, "--define", "_gpg_name " + name, "--addsign", file}, more...)...)
}

// unsigned returns an rpm in a directory of its own.
func unsigned(t *testing.T) string {
	t.Helper()
	return pack(t, t.TempDir(), packed{
		RPMMetaData: rpmpack.RPMMetaData{Name: "signed", Version: "1"},
		files:       map[string]string{"/usr/share/signed": strings.Repeat("content ", 99)},
	})
}

// keyring holds armored or binary keys.
func keyring(t *testing.T, keys ...string) Keyring {
	t.Helper()
	var k Keyring
	for _, key := range keys {
		if problems := k.Add("test", []byte(key)); len(problems) > 0 {
			t.Fatal(problems)
		}
	}
	return k
}

func checkFile(t *testing.T, k Keyring, file string) Signature {
	t.Helper()
	found := find(t, filepath.Dir(file))
	if len(found.Packages) != 1 {
		t.Fatalf("%d packages beside %s", len(found.Packages), file)
	}
	s, err := k.Check(t.Context(), found.Packages[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCheck signs with GnuPG and rpm's own program, and compares with what rpm
// says of the same file and key.
func TestCheck(t *testing.T) {
	for _, algorithm := range []string{"rsa2048", "ed25519", "dsa2048"} {
		t.Run(algorithm, func(t *testing.T) {
			name := "Test <" + algorithm + "@example.com>"
			home, public := gpgHome(t, name, algorithm, "sign", "never")
			file := unsigned(t)
			if s := checkFile(t, keyring(t, public), file); !reflect.DeepEqual(s, Signature{State: NotSigned}) {
				t.Errorf("before it is signed: %+v", s)
			}
			rpmsign(t, home, name, file, "--rpmv3") // over header and payload too
			if s := checkFile(t, Keyring{}, file); s.State != UnknownKey || len(s.KeyID) != 16 || s.Signer != "" {
				t.Errorf("without keys: %+v", s)
			}
			s := checkFile(t, keyring(t, public), file)
			if s.State != Verified || s.Signer != name || s.KeyFrom != "test" || !strings.HasPrefix(s.Hash, "SHA-") || s.Created.Year() < 2023 || s.Why != "" {
				t.Errorf("%+v", s)
			}
			db := t.TempDir()
			key := filepath.Join(db, "key")
			write(t, key, []byte(public))
			command(t, "rpmkeys", "--dbpath", db, "--import", key)
			if out := command(t, "rpmkeys", "--dbpath", db, "-Kv", file); !strings.Contains(out, "key ID "+s.KeyID[8:]+": OK") {
				t.Errorf("key %s; rpm says %s", s.KeyID, out)
			}
		})
	}
}

// TestReadKeys has keys in the rpm database and in files, binary and armored.
func TestReadKeys(t *testing.T) {
	home, imported := gpgHome(t, "Imported", "rsa2048", "sign", "never")
	_, second := gpgHome(t, "Second", "ed25519", "sign", "never")
	_, third := gpgHome(t, "Third", "ed25519", "sign", "never")
	root := openRoot(t, t.TempDir())
	write(t, root.Path("/tmp/key"), []byte(imported))
	command(t, "rpmkeys", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "--import", root.Path("/tmp/key"))
	write(t, root.Path("/etc/pki/rpm-gpg/both"), []byte("Two keys:\n"+second+"and\n"+third))
	write(t, root.Path("/etc/pki/rpm-gpg/damaged"), []byte(strings.Replace(second, "\n\n", "\n\nAAAA", 1)))
	write(t, root.Path("/etc/pki/rpm-gpg/text"), []byte("no key\n"))
	write(t, root.Path("/etc/pki/rpm-gpg/empty"), nil)
	if err := os.Symlink("nowhere", root.Path("/etc/pki/rpm-gpg/link")); err != nil {
		t.Fatal(err)
	}
	k, problems, err := ReadKeys(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, keys := range k.keys {
		for _, key := range keys {
			names[key.name] = key.from
		}
	}
	want := map[string]string{"Imported": "rpm database", "Second": "/etc/pki/rpm-gpg/both", "Third": "/etc/pki/rpm-gpg/both"}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("keys %v, want %v", names, want)
	}
	said := fmt.Sprint(problems)
	for _, file := range []string{"damaged", "text", "empty", "link"} {
		if !strings.Contains(said, "/etc/pki/rpm-gpg/"+file+": ") {
			t.Errorf("problems %s, want %s in them", said, file)
		}
	}
	if len(problems) != 4 {
		t.Errorf("%d problems: %s", len(problems), said)
	}
	file := unsigned(t)
	rpmsign(t, home, "Imported", file)
	if s := checkFile(t, k, file); s.State != Verified || s.KeyFrom != "rpm database" {
		t.Errorf("%+v", s)
	}
	command(t, "rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", file)
	all, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil || len(all) != 1 || all[0].KeyID != checkFile(t, k, file).KeyID {
		t.Errorf("installed %+v, %v", all, err)
	}
}

// signer makes signatures of one sort. now is when.
type signer struct {
	entity *openpgp.Entity
	now    time.Time
}

func newSigner(t *testing.T, config packet.Config) signer {
	t.Helper()
	now := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	config.Time = func() time.Time { return now }
	e, err := openpgp.NewEntity("Signer", "", "s@example.com", &config)
	if err != nil {
		t.Fatal(err)
	}
	return signer{e, now.Add(time.Hour)}
}

func (s signer) public(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.entity.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (s signer) v4(data []byte) ([]byte, error) {
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, s.entity, bytes.NewReader(data), &packet.Config{Time: func() time.Time { return s.now }})
	return b.Bytes(), err
}

// v3 is what rpmsign made with GnuPG 2.0 and before (RFC 4880, 5.2.2).
func (s signer) v3(data []byte) ([]byte, error) {
	suffix := binary.BigEndian.AppendUint32([]byte{0}, uint32(s.now.Unix()))
	h := crypto.SHA256.New()
	h.Write(data)
	h.Write(suffix)
	sum := h.Sum(nil)
	key, ok := s.entity.PrivateKey.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %T", s.entity.PrivateKey.PrivateKey)
	}
	number, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum)
	if err != nil {
		return nil, err
	}
	bits := len(number) * 8
	for ; number[0] == 0; bits -= 8 {
		number = number[1:]
	}
	for top := number[0]; top < 0x80; top <<= 1 {
		bits--
	}
	body := binary.BigEndian.AppendUint64(append([]byte{3, 5}, suffix...), s.entity.PrimaryKey.KeyId)
	body = append(body, 1, 8, sum[0], sum[1])
	body = append(binary.BigEndian.AppendUint16(body, uint16(bits)), number...)
	return append(binary.BigEndian.AppendUint16([]byte{0x89}, uint16(len(body))), body...), nil
}

// signedBy returns an rpm that is signed with sign.
func signedBy(t *testing.T, sign func([]byte) ([]byte, error)) string {
	t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "signed", Version: "1", Release: "1", Arch: "noarch", BuildTime: built})
	if err != nil {
		t.Fatal(err)
	}
	r.AddFile(rpmpack.RPMFile{Name: "/usr/share/signed", Body: []byte("content"), Mode: 0o644, Owner: "root", Group: "root"})
	r.SetPGPSigner(sign)
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signed-1-1.noarch.rpm")
	write(t, file, b.Bytes())
	return file
}

// TestCheckV3 has rpm say the same of a signature of version 3.
func TestCheckV3(t *testing.T) {
	need(t, "rpmkeys")
	s := newSigner(t, packet.Config{RSABits: 2048})
	file := signedBy(t, s.v3)
	got := checkFile(t, keyring(t, s.public(t)), file)
	if got.State != Verified || got.Signer != "Signer <s@example.com>" || !got.Created.Equal(s.now) || got.Hash != "SHA-256" {
		t.Errorf("%+v", got)
	}
	db := t.TempDir()
	write(t, filepath.Join(db, "key"), []byte(armored(t, s.public(t))))
	command(t, "rpmkeys", "--dbpath", db, "--import", filepath.Join(db, "key"))
	if out := command(t, "rpmkeys", "--dbpath", db, "-Kv", file); strings.Count(out, "V3 RSA/SHA256 Signature, key ID "+got.KeyID[8:]+": OK") != 2 {
		t.Errorf("rpm says %s", out)
	}
}

func armored(t *testing.T, public string) string {
	t.Helper()
	var b strings.Builder
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(public)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCheckKeyLife has keys that are past their end and revoked.
func TestCheckKeyLife(t *testing.T) {
	s := newSigner(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 24 * 3600})
	if got := checkFile(t, keyring(t, s.public(t)), signedBy(t, s.v4)); got.State != Verified {
		t.Errorf("signed in time: %+v", got)
	}
	late := s
	late.now = s.now.AddDate(0, 0, 2)
	lateFile := signedBy(t, late.v4late)
	if got := checkFile(t, keyring(t, s.public(t)), lateFile); got.State != Bad || !strings.Contains(got.Why, "signed on 2020-01-03, when the key was not valid") {
		t.Errorf("signed late: %+v", got)
	}
	// The same key with a longer life, as distros publish it, beside the old one.
	old := s.public(t)
	for _, identity := range s.entity.Identities {
		identity.SelfSignature.KeyLifetimeSecs = new(uint32)
		if err := identity.SelfSignature.SignUserId(identity.Name, s.entity.PrimaryKey, s.entity.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
		identity.Signatures = []*packet.Signature{identity.SelfSignature}
	}
	if got := checkFile(t, keyring(t, old, s.public(t)), lateFile); got.State != Verified {
		t.Errorf("with the key made longer: %+v", got)
	}
	text := func(data []byte) ([]byte, error) { return late.sign(data, packet.SigTypeText) }
	if got := checkFile(t, keyring(t, s.public(t)), signedBy(t, text)); got.State != Bad || !strings.Contains(got.Why, "signature of type 1") {
		t.Errorf("signature of text: %+v", got)
	}
	if err := s.entity.RevokeKey(packet.KeyCompromised, "", nil); err != nil {
		t.Fatal(err)
	}
	if got := checkFile(t, keyring(t, s.public(t)), lateFile); got.State != Bad || got.Why != "the key is revoked" {
		t.Errorf("revoked: %+v", got)
	}
}

// v4late signs as somebody does whose program does not look at the key's end.
func (s signer) v4late(data []byte) ([]byte, error) { return s.sign(data, packet.SigTypeBinary) }

func (s signer) sign(data []byte, typ packet.SignatureType) ([]byte, error) {
	sig := &packet.Signature{
		Version: 4, SigType: typ, PubKeyAlgo: s.entity.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: s.now, IssuerKeyId: &s.entity.PrimaryKey.KeyId,
	}
	h := crypto.SHA256.New()
	h.Write(data)
	var b bytes.Buffer
	if err := sig.Sign(h, s.entity.PrivateKey, nil); err != nil {
		return nil, err
	}
	err := sig.Serialize(&b)
	return b.Bytes(), err
}

// TestCheckFlips flips one bit in every byte of header and payload, with every
// digest outside of them put right, as an attacker would.
func TestCheckFlips(t *testing.T) {
	ed := newSigner(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	big := newSigner(t, packet.Config{RSABits: 2048})
	for name, tt := range map[string]struct {
		signer signer
		sign   func([]byte) ([]byte, error)
	}{"ed25519": {ed, ed.v4}, "rsa": {big, big.v4}, "v3": {big, big.v3}} {
		t.Run(name, func(t *testing.T) {
			k := keyring(t, tt.signer.public(t))
			b := readFile(t, signedBy(t, tt.sign))
			in := bytes.NewReader(b)
			h, err := readHeaders(&counter{r: in})
			if err != nil {
				t.Fatal(err)
			}
			payload := b[h.end:]
			judge := func(tags []signatureTag, header, payload []byte) Signature {
				all, err := signaturesOf(h.sig, tags)
				if err != nil || len(all) != len(tags) {
					t.Fatalf("%d signatures, %v", len(all), err)
				}
				if _, err := feed(all, header).Write(payload); err != nil {
					t.Fatal(err)
				}
				return k.judge(all, true)
			}
			header, both := []signatureTag{{sigRSA, false}}, []signatureTag{{sigPGP, true}}
			for _, tags := range [][]signatureTag{header, both} {
				if got := judge(tags, h.main.raw, payload); got.State != Verified {
					t.Fatalf("whole: %+v", got)
				}
				for i := range h.main.raw {
					damaged := bytes.Clone(h.main.raw)
					damaged[i] ^= 1 << (i % 8)
					if got := judge(tags, damaged, payload); got.State != Bad {
						t.Fatalf("byte %d of the header: %+v", i, got)
					}
				}
			}
			for i := range payload {
				damaged := bytes.Clone(payload)
				damaged[i] ^= 1 << (i % 8)
				if got := judge(both, h.main.raw, damaged); got.State != Bad {
					t.Fatalf("byte %d of the payload: %+v", i, got)
				}
			}
		})
	}
}

// TestCheckFileFlips does the same to the whole file: lead, padding and what is
// signed by nobody may change, the package may not.
func TestCheckFileFlips(t *testing.T) {
	s := newSigner(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	k := keyring(t, s.public(t))
	file := signedBy(t, s.v4)
	content := readFile(t, file)
	p := find(t, filepath.Dir(file)).Packages[0]
	for i := range content {
		damaged := bytes.Clone(content)
		damaged[i] ^= 1 << (i % 8)
		write(t, file, damaged)
		p.Digest = digest.FromBytes(damaged)
		got, err := k.Check(t.Context(), p)
		if err == nil && got.State == Verified && int64(i) >= p.HeaderStart {
			t.Fatalf("byte %d of %d, header from %d: %+v", i, len(content), p.HeaderStart, got)
		}
		if err != nil && !strings.Contains(err.Error(), file) {
			t.Fatalf("byte %d: error %v does not name %s", i, err, file)
		}
	}
	write(t, file, content)
	if _, err := k.Check(t.Context(), p); err == nil || !strings.Contains(err.Error(), "it changed") {
		t.Errorf("a file that changed: error %v", err)
	}
}

// TestCheckCoverage has a good signature over the header alone of a package
// whose header does not hold the payload's digest.
func TestCheckCoverage(t *testing.T) {
	s := newSigner(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	h, err := readHeaders(&counter{r: bytes.NewReader(readFile(t, signedBy(t, s.v4)))})
	if err != nil {
		t.Fatal(err)
	}
	k := keyring(t, s.public(t))
	for _, digested := range []bool{true, false} {
		all, err := signaturesOf(h.sig, []signatureTag{{sigRSA, false}})
		if err != nil {
			t.Fatal(err)
		}
		feed(all, h.main.raw)
		if got := k.judge(all, digested); (got.State == Verified) != digested {
			t.Errorf("payload digest %t: %+v", digested, got)
		}
	}
}

// TestCheckUnreadable has signatures nobody can check.
func TestCheckUnreadable(t *testing.T) {
	s := newSigner(t, packet.Config{RSABits: 2048})
	whole, err := s.v3([]byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, b byte) []byte {
		damaged := bytes.Clone(whole)
		damaged[at] = b
		return damaged
	}
	for name, sig := range map[string][]byte{
		"empty": {}, "text": []byte("signature"), "short": whole[:40], "twice": append(bytes.Clone(whole), whole...),
		"md5": with(3+16, 1), "dsa": with(3+15, 17), "version": with(3, 9), "no_signature": with(0, 0x99),
	} {
		t.Run(name, func(t *testing.T) {
			file := signedBy(t, func([]byte) ([]byte, error) { return sig, nil })
			if got := checkFile(t, keyring(t, s.public(t)), file); got.State != Unchecked || got.Why == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}
