package pkgmgr

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/xcrate/xcrate/internal/host"
)

// Keyring holds the public keys that packages are checked against. The zero
// value has none. Fill it before it is shared.
type Keyring struct {
	keys map[string][]signingKey // by ID
}

// signingKey is a key or subkey that signs.
type signingKey struct {
	public      *packet.PublicKey
	name, from  string
	packets     []byte // of the key it belongs to, as they were read
	selfs       []keyLife
	revocations []*packet.Signature
}

// keyLife is a key and the signature that says how long it lives: the key
// itself, and for a subkey the one above it too.
type keyLife struct {
	public *packet.PublicKey
	self   *packet.Signature
}

// maxKeyFile bounds a file of keys; those of distros have less than 100 KiB.
const maxKeyFile = 16 << 20

// keyDirs are where distros put the keys of their packages: EL and Fedora, the
// key store of rpm 6, SUSE, apt.
func keyDirs() []string {
	return []string{
		"/etc/pki/rpm-gpg", "/usr/lib/sysimage/rpm/pubkeys", "/var/lib/rpm/pubkeys", "/usr/lib/rpm/gnupg/keys",
		"/etc/apt/trusted.gpg.d", "/etc/apt/keyrings",
	}
}

// ReadKeys gathers the keys of a root: those its administrator let rpm import,
// and those that lie in the distro's directories for keys. What of these cannot
// be used is in problems, each an error that names it. The rpm database is
// copied to a new directory below tempDir; a root without one is no error.
func ReadKeys(ctx context.Context, root *host.Root, tempDir string) (k Keyring, problems []error, err error) {
	err = eachHeader(ctx, root, tempDir, func(s section) error {
		name, err := s.text(tagName)
		if err != nil || name != keyPackage {
			return err
		}
		found, err := s.strings(tagPubkeys)
		if len(found) == 0 {
			problems = append(problems, errors.New("key in rpm database: the package holds none"))
		}
		for _, text := range found {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				problems = append(problems, fmt.Errorf("key in rpm database: %w", err))
				continue
			}
			problems = append(problems, k.Add("rpm database", b)...)
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrNone) {
		return Keyring{}, nil, err
	}
	for _, dir := range keyDirs() {
		names, err := root.Names(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Keyring{}, nil, fmt.Errorf("keys: %w", err)
		}
		for _, name := range names {
			p := path.Join(dir, name)
			if st, err := root.Stat(p); err == nil && st.IsDir() {
				continue
			}
			b, err := root.ReadFile(p, maxKeyFile)
			if err != nil {
				problems = append(problems, fmt.Errorf("key file %s: %w", p, err))
				continue
			}
			problems = append(problems, k.Add(p, b)...)
		}
	}
	return k, problems, nil
}

// Add takes in the keys of a file: binary, or any number of armored blocks.
// from is where it lies. What cannot be used is returned, each an error that
// names from; the other keys are in all the same.
func (k *Keyring) Add(from string, content []byte) (problems []error) {
	fail := func(err error) { problems = append(problems, fmt.Errorf("key in %s: %w", from, err)) }
	begin := []byte("-----BEGIN PGP ")
	if !bytes.Contains(content, begin) {
		for _, err := range k.addPackets(from, bytes.NewReader(content)) {
			fail(err)
		}
		return problems
	}
	_, blocks, _ := bytes.Cut(content, begin)
	for block := range bytes.SplitSeq(blocks, begin) {
		decoded, err := armor.Decode(bytes.NewReader(slices.Concat(begin, block)))
		if err != nil {
			fail(err)
			continue
		}
		for _, err := range k.addPackets(from, decoded.Body) {
			fail(err)
		}
	}
	return problems
}

// addPackets reads keys one after the other: the library's own loop passes over
// those it does not understand.
func (k *Keyring) addPackets(from string, r io.Reader) (problems []error) {
	keys, err := splitKeys(r)
	if err != nil {
		problems = append(problems, err)
	} else if len(keys) == 0 {
		return []error{errors.New("there is none")}
	}
	for _, key := range keys {
		entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(key.all)))
		if err == nil {
			err = k.addEntity(from, entity, key.public)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// addEntity takes in a key and its subkeys, as far as they are for signatures.
func (k *Keyring) addEntity(from string, e *openpgp.Entity, packets []byte) error {
	self, identity := e.PrimarySelfSignature()
	if self == nil {
		return fmt.Errorf("%s: no self-signature", keyID(e.PrimaryKey.KeyId))
	}
	var name string
	if identity != nil {
		name = identity.Name
	}
	top := keyLife{e.PrimaryKey, self}
	if k.keys == nil {
		k.keys = map[string][]signingKey{}
	}
	add := func(key signingKey) {
		id := keyID(key.public.KeyId)
		key.name, key.from, key.packets = name, from, packets
		k.keys[id] = append(k.keys[id], key)
	}
	if !self.FlagsValid || self.FlagSign {
		add(signingKey{public: e.PrimaryKey, selfs: []keyLife{top}, revocations: e.Revocations})
	}
	for _, sub := range e.Subkeys {
		if sub.PublicKey.CanSign() && sub.Sig.FlagsValid && sub.Sig.FlagSign {
			add(signingKey{
				public: sub.PublicKey, selfs: []keyLife{top, {sub.PublicKey, sub.Sig}},
				revocations: slices.Concat(e.Revocations, sub.Revocations),
			})
		}
	}
	return nil
}

// verify reports what is wrong with signature s, which names this key.
func (k signingKey) verify(s rpmSignature) error {
	h, err := cloned(s.sum)
	if err != nil {
		return err
	}
	var typ packet.SignatureType
	if s.v3 != nil {
		typ, err = packet.SignatureType(s.v3.typ), k.verifyV3(h, s)
	} else {
		typ, err = s.v4.SigType, k.public.VerifySignature(h, s.v4)
	}
	if err != nil {
		return err
	}
	if typ != s.typ {
		return fmt.Errorf("signature of type %d: not one of a file", typ)
	}
	if len(k.revocations) > 0 {
		return errors.New("the key is revoked")
	}
	for _, life := range k.selfs {
		if life.public.KeyExpired(life.self, s.created) {
			return fmt.Errorf("signed on %s, when the key was not valid", s.created.UTC().Format(time.DateOnly))
		}
	}
	return nil
}

func (k signingKey) verifyV3(h hash.Hash, s rpmSignature) error {
	public, ok := k.public.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("signature and key are of different algorithms")
	}
	_, _ = h.Write(s.v3.suffix)
	if len(s.v3.rsa) > public.Size() {
		return errors.New("signature is longer than the key")
	}
	// The number was stored without the zeros it may begin with.
	padded := make([]byte, public.Size())
	copy(padded[len(padded)-len(s.v3.rsa):], s.v3.rsa)
	return rsa.VerifyPKCS1v15(public, s.hash, h.Sum(nil), padded)
}

// cloned copies the state of a digest: checking a signature adds to it.
func cloned(h hash.Hash) (hash.Hash, error) {
	c, ok := h.(hash.Cloner)
	if !ok {
		return nil, fmt.Errorf("digest %T cannot be copied", h)
	}
	return c.Clone()
}
