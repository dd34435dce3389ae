package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"github.com/xcrate/xcrate/artifact"
)

// Recipients are who can open a snapshot: one of their keys, or the passphrase, is
// enough. The zero value is nobody.
type Recipients struct {
	keys       []age.Recipient
	names      []string
	passphrase string
}

// IsKey reports whether text is meant to be a public key rather than the name of a file.
func IsKey(text string) bool {
	return strings.HasPrefix(text, "age1") || strings.HasPrefix(text, "ssh-")
}

// Add adds the owner of a public key: age's "age1...", or ssh's "ssh-ed25519 ..." or
// "ssh-rsa ...", as in the files of ssh-keygen.
func (r *Recipients) Add(text string) error {
	text = strings.TrimSpace(text)
	key, name, err := parseRecipient(text)
	if err != nil {
		return err
	}
	if !slices.Contains(r.names, name) {
		r.keys, r.names = append(r.keys, key), append(r.names, name)
	}
	return nil
}

func parseRecipient(text string) (age.Recipient, string, error) {
	switch {
	case strings.HasPrefix(text, "age1pq"):
		return nil, "", errors.New("a post-quantum recipient: layers are sealed with X25519, which would make less of it than it says")
	case strings.HasPrefix(text, "age1"):
		key, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, "", err
		}
		return key, key.String(), nil
	case strings.HasPrefix(text, "ssh-"):
		key, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, "", err
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return nil, "", err
		}
		return key, public.Type() + " " + ssh.FingerprintSHA256(public), nil
	case strings.HasPrefix(text, "AGE-SECRET-KEY-") || strings.Contains(text, "PRIVATE KEY"):
		return nil, "", errors.New("a private key: recipients are named by their public keys")
	case strings.HasPrefix(text, "ecdsa-"), strings.HasPrefix(text, "sk-"):
		return nil, "", fmt.Errorf("a key of type %s, which cannot encrypt: use an ssh-ed25519 or ssh-rsa key", strings.Fields(text)[0])
	}
	return nil, "", errors.New("neither an age nor an ssh public key")
}

// AddFile adds the owners of the public keys in a file, one a line; lines that begin with
// # are comments.
func (r *Recipients) AddFile(content []byte) error {
	n, found := 0, false
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		n++
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := r.Add(text); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		found = true
	}
	if !found {
		return errors.New("no public key in it")
	}
	return nil
}

// MinPassphrase is how long a passphrase must be, in bytes: whoever finds the stick has
// all the time there is to guess.
const MinPassphrase = 12

// SetPassphrase adds who knows text.
func (r *Recipients) SetPassphrase(text string) error {
	if len(text) < MinPassphrase {
		return fmt.Errorf("passphrase of %d characters: at least %d, because who finds the medium can try for years", len(text), MinPassphrase)
	}
	r.passphrase = text
	return nil
}

// Names lists the recipients for people; there is no secret in it.
func (r *Recipients) Names() []string {
	names := slices.Clone(r.names)
	if r.passphrase != "" {
		names = append(names, "a passphrase")
	}
	return names
}

// Kept is what an export keeps on the machine for the next one: a secret of root's
// there, as are all those that it opens.
type Kept struct {
	Keys      string              `json:"recipients"` // a digest of who they were
	Key       string              `json:"key"`
	Envelopes []artifact.Envelope `json:"envelopes"`
}

// digest says who the recipients with keys are.
func (r *Recipients) digest() string {
	names := slices.Clone(r.names)
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:])
}

// maxKept is how many different sets of recipients are remembered.
const maxKept = 8

// Key returns the key of a snapshot before that was sealed to just these recipients, and
// else a new one: whoever is no recipient any more must not be able to open what comes.
// all is what was kept, which is checked, and what to keep now, with the entry of the
// key first.
func (r *Recipients) Key(all []Kept) (*Key, []Kept, error) {
	for i, kept := range all {
		if k, err := ParseKey(kept.Key); err == nil && r.same(kept, k) {
			return k, slices.Concat([]Kept{kept}, all[:i], all[i+1:]), nil
		}
	}
	k, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	envelopes, err := r.Envelopes(k)
	if err != nil {
		return nil, nil, err
	}
	all = slices.Concat([]Kept{{Keys: r.digest(), Key: k.Text(), Envelopes: envelopes}}, all)
	return k, all[:min(len(all), maxKept)], nil
}

func (r *Recipients) same(kept Kept, k *Key) bool {
	if kept.Keys != r.digest() || len(kept.Envelopes) == 0 {
		return false
	}
	passphrase := false
	for _, e := range kept.Envelopes {
		if e.To != artifact.EnvelopePassphrase {
			continue
		}
		passphrase = true
		if opened, err := openWith(e, r.passphrase); err != nil || opened.Text() != k.Text() {
			return false
		}
	}
	return passphrase == (r.passphrase != "")
}
