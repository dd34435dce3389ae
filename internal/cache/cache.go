// Package cache remembers from one export to the next what the system said of
// the files in each part, so that a part whose files nobody touched need not be
// read again. It lies on the machine and never in a snapshot: it says nothing of
// what is in a file.
package cache

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/zeebo/blake3"
)

// ErrDamaged is wrapped by errors about a cache that is not as it was written.
var ErrDamaged = errors.New("damaged")

// ErrUnsafe is wrapped when somebody else could have written the cache: who
// writes it decides what an export does not read.
var ErrUnsafe = errors.New("others can write to it")

// Entry says that the layer was made of files with the key, or, if it is sealed, what
// is in it: a name that says nothing without the key it is sealed with. Either may be "".
type Entry struct {
	Layer   digest.Digest `json:"layer"`
	Key     string        `json:"key,omitempty"`
	Content string        `json:"content,omitempty"`
}

// document is the file: its own BLAKE3 digest in hex, a line feed, and this as
// JSON.
type document struct {
	Format int     `json:"format"`
	Root   string  `json:"root"`
	Parts  []Entry `json:"parts"` // newest first
}

const (
	format   = 1
	maxParts = 20_000 // a few exports of a very large node
	maxSize  = 16 << 20
)

// Load returns what directory dir remembers of the root at path root, newest
// first; nothing if there is no such file.
func Load(dir, root string) ([]Entry, error) {
	b, err := read(dir, fileName(root), maxSize)
	if b == nil || err != nil {
		return nil, err
	}
	parts, err := decode(b, root)
	if err != nil {
		return nil, fmt.Errorf("cache %s: %s: %w", dir, fileName(root), err)
	}
	return parts, nil
}

func decode(b []byte, root string) ([]Entry, error) {
	sum, body, ok := strings.Cut(string(b), "\n")
	if !ok || sum != digestOf([]byte(body)) {
		return nil, ErrDamaged
	}
	var doc document
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if doc.Format != format || doc.Root != root {
		return nil, nil // of another version: nothing is known
	}
	return doc.Parts, nil
}

// Save remembers fresh, and of what is old whatever does not contradict it. The
// file is replaced in one step. dir is made if its parent is there.
func Save(dir, root string, fresh, old []Entry) error {
	parts := merge(fresh, old)
	body, err := json.Marshal(document{Format: format, Root: root, Parts: parts})
	if err != nil {
		return err
	}
	return write(dir, fileName(root), append([]byte(digestOf(body)+"\n"), body...))
}

func merge(fresh, old []Entry) []Entry {
	layers, keys := map[digest.Digest]bool{}, map[string]bool{}
	var all []Entry
	for _, e := range append(append([]Entry{}, fresh...), old...) {
		if layers[e.Layer] || e.Key != "" && keys[e.Key] || len(all) == maxParts {
			continue
		}
		layers[e.Layer], keys[e.Key] = true, true
		all = append(all, e)
	}
	return all
}

func fileName(root string) string { return digestOf([]byte(root))[:16] + ".json" }

func digestOf(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}
