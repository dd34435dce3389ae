package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Sessions keeps what an upload needs to go on in another run of the program. A value
// lets whoever has it write to the upload: nobody else may read it.
type Sessions interface {
	// Load returns the value of key, nil if there is none.
	Load(key string) ([]byte, error)
	// Save keeps value for key, durably.
	Save(key string, value []byte) error
	// Remove forgets key, which need not be there.
	Remove(key string) error
}

// session is the value: where the registry wants the rest of a blob.
type session struct {
	Location string `json:"location"`
}

// sessionKey names the upload of a blob to r.
func (r *Repository) sessionKey(desc ocispec.Descriptor) string {
	sum := sha256.Sum256([]byte(r.base.String() + "\n" + desc.Digest.String()))
	return hex.EncodeToString(sum[:])
}

// loadSession returns where an upload goes on, nil if nothing is known of it.
func (r *Repository) loadSession(desc ocispec.Descriptor) *url.URL {
	if r.opt.Sessions == nil {
		return nil
	}
	b, err := r.opt.Sessions.Load(r.sessionKey(desc))
	if err != nil {
		r.opt.Note("uploads begin anew: %v", err)
		return nil
	}
	var s session
	if b == nil || json.Unmarshal(b, &s) != nil {
		return nil // it costs no more than sending the blob again
	}
	at, err := url.Parse(s.Location)
	if err != nil || at.Scheme != r.base.Scheme || at.Host != r.base.Host {
		return nil
	}
	return at
}

func (r *Repository) saveSession(desc ocispec.Descriptor, at *url.URL) {
	if r.opt.Sessions == nil {
		return
	}
	b, err := json.Marshal(session{Location: at.String()})
	if err == nil {
		err = r.opt.Sessions.Save(r.sessionKey(desc), b)
	}
	if err != nil {
		r.opt.Note("an upload that breaks begins anew in the next run: %v", err)
	}
}

func (r *Repository) dropSession(desc ocispec.Descriptor) {
	if r.opt.Sessions == nil {
		return
	}
	if err := r.opt.Sessions.Remove(r.sessionKey(desc)); err != nil {
		r.opt.Note("%v", err)
	}
}
