package artifact_test

import (
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// TestDigestKey: the digest of a sealed file can be checked with the key, and guessed at
// by nobody without it.
func TestDigestKey(t *testing.T) {
	plain := artifact.DigestOf([]byte("cluster"))
	key, other := artifact.DigestKey(strings.Repeat("k", 32)), artifact.DigestKey(strings.Repeat("o", 32))
	e := artifact.Entry{Path: "etc/xcat/cfgloc", Digest: key.Of("etc/xcat/cfgloc", plain)}
	switch {
	case strings.Contains(e.Digest, strings.TrimPrefix(plain, "blake3:")):
		t.Error("the digest itself is in it")
	case !key.Matches(e, plain):
		t.Error("it does not match itself")
	case key.Matches(e, artifact.DigestOf([]byte("another"))), other.Matches(e, plain), artifact.DigestKey(nil).Matches(e, plain):
		t.Error("it matches something else")
	case key.Of("root/.odbc.ini", plain) == e.Digest:
		t.Error("two files with the same content show it")
	case key.Of(e.Path, e.Digest) != e.Digest:
		t.Error("what is taken over from the base changes")
	}
	open := artifact.Entry{Path: "etc/hosts", Digest: plain}
	if !key.Matches(open, plain) || !artifact.DigestKey(nil).Matches(open, plain) {
		t.Error("a file that is not sealed does not match")
	}
}

// TestSecretsAreValid: a config that contradicts itself about what is sealed is refused.
func TestSecretsAreValid(t *testing.T) {
	base := artifact.Config{Format: artifact.FormatVersion, Stack: artifact.Stack{Name: "xcat"}}
	base.Host.Distro.ID, base.Host.Arch = "rocky", "x86_64"
	envelope := []artifact.Envelope{{To: artifact.EnvelopeKeys}}
	secrets := []artifact.Kind{artifact.KindSecrets}
	for name, c := range map[string]struct {
		secrets *artifact.Secrets
		good    bool
	}{
		"nothing said":      {nil, true},
		"open":              {&artifact.Secrets{State: artifact.SecretsOpen}, true},
		"sealed":            {&artifact.Secrets{State: artifact.SecretsSealed, Kinds: secrets, Envelopes: envelope}, true},
		"open with kinds":   {&artifact.Secrets{State: artifact.SecretsOpen, Kinds: secrets}, false},
		"sealed, no kinds":  {&artifact.Secrets{State: artifact.SecretsSealed, Envelopes: envelope}, false},
		"sealed to nobody":  {&artifact.Secrets{State: artifact.SecretsSealed, Kinds: secrets}, false},
		"sealed catalog":    {&artifact.Secrets{State: artifact.SecretsSealed, Kinds: []artifact.Kind{artifact.KindCatalog}, Envelopes: envelope}, false},
		"a kind twice":      {&artifact.Secrets{State: artifact.SecretsSealed, Kinds: append(secrets, secrets...), Envelopes: envelope}, false},
		"an unknown state":  {&artifact.Secrets{State: "hidden"}, false},
		"an unknown kind":   {&artifact.Secrets{State: artifact.SecretsSealed, Kinds: []artifact.Kind{"x"}, Envelopes: envelope}, false},
		"no state at all":   {&artifact.Secrets{}, false},
		"left out, a state": {&artifact.Secrets{State: artifact.SecretsLeftOut}, true},
	} {
		base.Secrets = c.secrets
		if err := base.Validate(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
