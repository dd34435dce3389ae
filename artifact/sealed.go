package artifact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Secrets says what was done about the secrets of a snapshot. Nothing in it is one:
// without a key of a recipient it opens nothing.
type Secrets struct {
	State SecretsState `json:"state"`
	// Kinds are those whose layers are sealed.
	Kinds []Kind `json:"sealed_kinds,omitempty"`
	// Recipients says to whom, for people: "age1...", "ssh-ed25519 SHA256:...",
	// "a passphrase".
	Recipients []string `json:"recipients,omitempty"`
	// Envelopes hold the key that opens the layers, each sealed to some recipients.
	Envelopes []Envelope `json:"envelopes,omitempty"`
	// Facts is a SealedFacts document as an age file, sealed as the layers are.
	Facts []byte `json:"facts,omitempty"`
}

// SecretsState is what was done about the secrets.
type SecretsState string

// The states. Configs of before this was recorded have none, which is open.
const (
	SecretsOpen    SecretsState = "open"     // whoever has the snapshot has them: somebody chose that
	SecretsSealed  SecretsState = "sealed"   // the kinds listed are sealed
	SecretsLeftOut SecretsState = "left out" // the snapshot is for support and restores nothing
)

// Envelope is an age file (age-encryption.org/v1) in its armor with the identity
// that opens the sealed layers of a snapshot.
type Envelope struct {
	// To is who opens it: EnvelopeKeys or EnvelopePassphrase. age files have either
	// recipients with keys, or one passphrase.
	To  string `json:"to"`
	Age string `json:"age"`
}

// Who opens an envelope.
const (
	EnvelopeKeys       = "keys"
	EnvelopePassphrase = "passphrase"
)

// SealedFacts is what the config would say in clear if it gave nothing away.
type SealedFacts struct {
	// Tables are the digests of tables by name: the rows of a small table could be
	// guessed, and the guess compared.
	Tables map[string]digest.Digest `json:"tables,omitempty"`
}

// ErrSealed is wrapped by errors about what cannot be read without a key.
var ErrSealed = errors.New("sealed")

// IsSealed reports whether layers of kind k are sealed.
func (c Config) IsSealed(k Kind) bool { return c.Secrets != nil && slices.Contains(c.Secrets.Kinds, k) }

// SealFacts moves what gives sealed contents away out of the config.
func (c *Config) SealFacts() SealedFacts {
	facts := SealedFacts{Tables: map[string]digest.Digest{}}
	if c.IsSealed(KindDatabase) {
		c.Database.Tables = slices.Clone(c.Database.Tables)
		for i, t := range c.Database.Tables {
			facts.Tables[t.Name] = t.Digest
			c.Database.Tables[i].Digest = ""
		}
	}
	return facts
}

// UnsealFacts puts facts back. Facts that do not fit are an error.
func (c *Config) UnsealFacts(facts SealedFacts) error {
	if !c.IsSealed(KindDatabase) {
		return nil
	}
	c.Database.Tables = slices.Clone(c.Database.Tables)
	for i, t := range c.Database.Tables {
		d := facts.Tables[t.Name]
		if err := d.Validate(); err != nil {
			return fmt.Errorf("sealed facts: table %q: %w", t.Name, err)
		}
		c.Database.Tables[i].Digest = d
	}
	return nil
}

// validate checks that what is said of sealing fits together.
func (s *Secrets) validate() error {
	if s == nil {
		return nil
	}
	for i, k := range s.Kinds {
		if !k.HasEntries() || k.rank() < 0 || slices.Contains(s.Kinds[:i], k) {
			return fmt.Errorf("config: sealed kind %q", k)
		}
	}
	switch s.State {
	case SecretsOpen, SecretsLeftOut:
		if len(s.Kinds) > 0 {
			return fmt.Errorf("config: secrets are %s, and %v are sealed", s.State, s.Kinds)
		}
	case SecretsSealed:
		if len(s.Kinds) == 0 || len(s.Envelopes) == 0 {
			return fmt.Errorf("config: secrets are sealed, in %d kinds with %d envelopes", len(s.Kinds), len(s.Envelopes))
		}
	default:
		return fmt.Errorf("config: secrets are %q", s.State)
	}
	return nil
}

// SealedType returns the media type of a layer that is sealed and would have
// mediaType if it were not.
func SealedType(mediaType string) string {
	switch mediaType {
	case TypeTar:
		return TypeTarAge
	case TypeTarZstd:
		return TypeTarZstdAge
	}
	return mediaType
}

// OpenedType returns the media type of what a sealed layer of mediaType holds, and
// whether it is one.
func OpenedType(mediaType string) (string, bool) {
	switch mediaType {
	case TypeTarAge:
		return TypeTar, true
	case TypeTarZstdAge:
		return TypeTarZstd, true
	}
	return mediaType, false
}

// DigestKey makes of the digest of a sealed file what a catalog may say of it: the
// bare digest of a short file would tell who guesses its content that he is right.
// nil is the key of snapshots in which nothing is sealed.
type DigestKey []byte

// sealedDigest begins the digest of a sealed file: HMAC-SHA256 (RFC 2104) of its
// path, a zero byte and its digest.
const sealedDigest = "hmac-sha256:"

// Of returns what the catalog says of the file at path whose content has digest
// plain, if it is sealed. What is sealed stays as it is.
func (k DigestKey) Of(path, plain string) string {
	if plain == "" || strings.HasPrefix(plain, sealedDigest) {
		return plain
	}
	mac := hmac.New(sha256.New, k)
	_, _ = mac.Write([]byte(path + "\x00" + plain)) // a hash never fails
	return sealedDigest + hex.EncodeToString(mac.Sum(nil))
}

// Matches reports whether what e says of its content is true of content with digest
// plain.
func (k DigestKey) Matches(e Entry, plain string) bool {
	if strings.HasPrefix(e.Digest, sealedDigest) {
		return len(k) > 0 && e.Digest == k.Of(e.Path, plain)
	}
	return e.Digest == plain
}
