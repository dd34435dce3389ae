package cache

import (
	"errors"
	"fmt"
	"io/fs"
)

// Sessions keeps in a directory what uploads need to go on, each in a file of its own.
type Sessions string

// maxSession is how large one is, in bytes: a URL.
const maxSession = 64 << 10

func sessionName(key string) string { return "upload-" + key + ".json" }

// Load returns the value of key, nil if there is none.
func (s Sessions) Load(key string) ([]byte, error) {
	return read(string(s), sessionName(key), maxSession)
}

// Save keeps value for key.
func (s Sessions) Save(key string, value []byte) error {
	return write(string(s), sessionName(key), value)
}

// Remove forgets key, which need not be there.
func (s Sessions) Remove(key string) error {
	d, closeAll, err := open(string(s))
	if err == nil {
		defer closeAll()
		err = d.Remove(sessionName(key))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cache %s: %w", string(s), err)
	}
	return nil
}
