package layers

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
)

// checked reads r and fails at its end if the content has another digest: the
// file is not the one that was looked at before.
type checked struct {
	r    io.Reader
	want digest.Digest
	sum  digest.Digester
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.sum.Hash().Write(p[:n]) // a hash never fails
	if err == io.EOF && c.sum.Digest() != c.want {
		return n, fmt.Errorf("changed while it was read: digest %s, was %s", c.sum.Digest(), c.want)
	}
	return n, err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
