package pkgmgr

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/xcrate/xcrate/internal/host"
)

// PublicKey is a key as rpm and dnf import it.
type PublicKey struct {
	ID      string // of the key or subkey that signed, 16 hexadecimal digits
	Name    string // its user id, "" where it has none
	Armored []byte // the key with all its subkeys (RFC 9580, 6.2)
}

// PublicKey returns the key by which s was found Verified, and an error in any
// other state. The packets are those that were read, signatures on the key
// included: what its owner said of its life stays with it.
func (s Signature) PublicKey() (PublicKey, error) {
	if s.State != Verified || len(s.packets) == 0 {
		return PublicKey{}, fmt.Errorf("key %s: no public key that verified anything", s.KeyID)
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, "PGP PUBLIC KEY BLOCK", nil)
	if err != nil {
		return PublicKey{}, fmt.Errorf("key %s: %w", s.KeyID, err)
	}
	_, err = w.Write(s.packets)
	if err := errors.Join(err, w.Close()); err != nil {
		return PublicKey{}, fmt.Errorf("key %s: %w", s.KeyID, err)
	}
	b.WriteByte('\n')
	return PublicKey{ID: s.KeyID, Name: s.Signer, Armored: b.Bytes()}, nil
}

// AddFiles takes in the keys of files of root, but for those that are not there
// and those in directories that ReadKeys reads. What cannot be used is returned.
func (k *Keyring) AddFiles(root *host.Root, files []string) (problems []error) {
	for _, p := range files {
		if slices.Contains(keyDirs(), path.Dir(p)) || !root.Exists(p) {
			continue
		}
		b, err := root.ReadFile(p, maxKeyFile)
		if err != nil {
			problems = append(problems, fmt.Errorf("key file %s: %w", p, err))
			continue
		}
		problems = append(problems, k.Add(p, b)...)
	}
	return problems
}

// keyPackets are the packets of one key.
type keyPackets struct {
	all    []byte
	public []byte // without what nobody else needs, and without any secret
}

// Tags of packets (RFC 9580, 5).
const (
	packetSignature    = 2
	packetSecretKey    = 5
	packetPublicKey    = 6
	packetUserID       = 13
	packetPublicSubkey = 14
	packetUserAttr     = 17
)

// splitKeys cuts a stream of packets before each key. On an error what came
// before is returned too.
func splitKeys(r io.Reader) (all []keyPackets, err error) {
	packets := packet.NewOpaqueReader(r)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if len(all) == 0 || p.Tag == packetPublicKey || p.Tag == packetSecretKey {
			all = append(all, keyPackets{})
		}
		var b bytes.Buffer
		if err := p.Serialize(&b); err != nil {
			return all, err
		}
		key := &all[len(all)-1]
		key.all = append(key.all, b.Bytes()...)
		if len(key.public) == 0 && p.Tag != packetPublicKey {
			continue // a secret key, or what belongs to none
		}
		switch p.Tag {
		case packetSignature, packetPublicKey, packetUserID, packetPublicSubkey, packetUserAttr:
			key.public = append(key.public, b.Bytes()...)
		default: // trust of a keyring, secret keys
		}
	}
}
