package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Part is a blob that an export stored.
type Part struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// Parts remembers what an export stored until it ends, so that the next one finds what
// one that was killed, or lost its medium, got done. It is safe for concurrent use.
type Parts struct {
	dir, name string

	mu   sync.Mutex
	had  map[string]Part // by the export before
	have map[string]Part
}

// LoadParts returns what directory dir remembers of the last export of the root at path
// root to dest, if that did not end. What cannot be read is not remembered.
func LoadParts(dir, root, dest string) (*Parts, error) {
	p := &Parts{dir: dir, name: "parts-" + fileName(root+"\x00"+dest), have: map[string]Part{}}
	b, err := read(dir, p.name, maxSize)
	if err != nil || b == nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p.had); err != nil {
		p.had = nil
		return p, fmt.Errorf("cache %s: %s: %w: %w", dir, p.name, ErrDamaged, err)
	}
	return p, nil
}

// Had returns the part of that name, zero if it is not known.
func (p *Parts) Had(name string) Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.had[name]
}

// Add remembers the part of that name.
func (p *Parts) Add(name string, part Part) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have[name] = part
	b, err := json.Marshal(p.have)
	if err != nil {
		return err
	}
	return write(p.dir, p.name, b)
}

// End forgets all: the export ended.
func (p *Parts) End() error {
	d, closeAll, err := open(p.dir)
	if err == nil {
		defer closeAll()
		err = d.Remove(p.name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cache %s: %w", p.dir, err)
	}
	return nil
}
