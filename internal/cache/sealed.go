package cache

import (
	"encoding/json"
	"fmt"
)

// Sealed keeps, for the exports of a root, what the one before sealed its layers with, so
// that the next need not seal anew what has not changed. It is a secret of root's, as are
// those that it opens, in a file that nobody else can read.
type Sealed struct{ dir, name string }

// SealedOf returns where directory dir keeps that of the root at path root.
func SealedOf(dir, root string) Sealed {
	return Sealed{dir, "sealed-" + fileName(root)}
}

// maxSealed is how large the file may be, in bytes: an envelope has 200 for a recipient.
const maxSealed = 4 << 20

// Load reads what was kept into value, which stays as it is if nothing was.
func (s Sealed) Load(value any) error {
	b, err := read(s.dir, s.name, maxSealed)
	if b == nil || err != nil {
		return err
	}
	if json.Unmarshal(b, value) != nil { // whose error would show some of it
		return fmt.Errorf("cache %s: %s: %w", s.dir, s.name, ErrDamaged)
	}
	return nil
}

// Save keeps value.
func (s Sealed) Save(value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return write(s.dir, s.name, b)
}
