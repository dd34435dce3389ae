package main

import (
	"errors"
	"path/filepath"

	"github.com/xcrate/xcrate/internal/host"
)

// parentOf opens the directory of a file of this machine, wherever the host lies
// that is acted on.
func parentOf(file string) (*host.Root, *host.Dir, string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, nil, "", err
	}
	root, err := host.OpenRoot("/")
	if err != nil {
		return nil, nil, "", err
	}
	d, name, err := root.OpenParent(abs)
	if err != nil {
		return nil, nil, "", errors.Join(err, root.Close())
	}
	return root, d, name, nil
}

// openFile opens a file of this machine that a flag names.
func openFile(file string) (*host.File, func() error, error) {
	root, d, name, err := parentOf(file)
	if err != nil {
		return nil, nil, err
	}
	f, _, err := d.OpenFile(name)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close(), root.Close())
	}
	return f, func() error { return errors.Join(f.Close(), d.Close(), root.Close()) }, nil
}

// readFile reads a file of this machine that a flag names, of at most limit bytes.
func readFile(file string, limit int64) (_ []byte, err error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	root, err := host.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return root.ReadFile(abs, limit)
}
