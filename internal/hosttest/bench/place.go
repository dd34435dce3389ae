package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// What is run in a place, in this order. Every round runs all of them, so that
// whatever else the machine does hurts each of them alike.
const (
	export       = "export"
	tarZstd      = "tar | zstd -1 | sha256sum"
	tarZstdSync  = "tar | zstd -1 | sha256sum, sync"
	resticBackup = "restic backup"
	reExport     = "re-export"
	resticAgain  = "restic backup again"
	verify       = "verify"
	openssl      = "openssl dgst -sha256"
	imports      = "import"
	untar        = "zstd -d | tar -x"
	untarSync    = "zstd -d | tar -x, sync"
)

// comparison is one line of the result: ours should take at most target times as
// long as peer. No target says that the figure is for the record.
type comparison struct {
	ours, peer string
	target     float64
}

func comparisons() []comparison {
	return []comparison{
		{export, tarZstd, 1. / 3},
		{export, tarZstdSync, 0},
		{export, resticBackup, 1. / 5},
		{reExport, resticAgain, 1. / 2},
		{verify, openssl, 1},
		{imports, untar, 1.2},
		{imports, untarSync, 0},
	}
}

// maxPeak is the most memory xcrate should ever have, in bytes.
const maxPeak = 200 << 20

// place is what was measured in one directory.
type place struct {
	filesystem string
	costs      map[string][]cost // by what was run, one a round
}

// measurePlace makes the tree below dir and runs everything o.rounds times.
func measurePlace(ctx context.Context, dir string, o options) (_ place, err error) {
	w, err := newWorkshop(ctx, dir, o, o.files, o.bytes)
	if err != nil {
		return place{}, err
	}
	defer func() {
		if rerr := os.RemoveAll(w.dir); err == nil {
			err = rerr
		}
	}()
	p := place{filesystem: w.filesystem, costs: map[string][]cost{}}
	for range o.rounds {
		if err := w.round(ctx, p, w.steps()); err != nil {
			return place{}, err
		}
	}
	return p, nil
}

// round runs the steps, notes what they cost and tells of it.
func (w workshop) round(ctx context.Context, p place, steps []step) error {
	for _, s := range steps {
		c, err := w.measure(ctx, s)
		if err != nil {
			return err
		}
		p.costs[s.name] = append(p.costs[s.name], c)
		progress("%s: %s: %s, CPU %s", p.filesystem, s.name, seconds(c.wall), seconds(c.cpu))
	}
	return nil
}

// measureMany runs xcrate alone, once, on a tree of o.many files.
func measureMany(ctx context.Context, dir string, o options) (_ place, err error) {
	w, err := newWorkshop(ctx, dir, o, o.many, int64(o.many)<<12)
	if err != nil {
		return place{}, err
	}
	defer func() {
		if rerr := os.RemoveAll(w.dir); err == nil {
			err = rerr
		}
	}()
	p := place{filesystem: w.filesystem, costs: map[string][]cost{}}
	ours := slices.DeleteFunc(w.steps(), func(s step) bool { return !s.ours })
	if err := w.round(ctx, p, ours); err != nil {
		return place{}, err
	}
	return p, nil
}

// workshop is a directory with the tree and what the programs make of it.
type workshop struct {
	dir, xcrate, filesystem string
}

// newWorkshop makes a tree in a new directory below dir and reads it once, so
// that every program finds it in memory.
func newWorkshop(ctx context.Context, dir string, o options, files int, bytes int64) (workshop, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return workshop{}, err
	}
	// The tree, and in each round three copies that are unpacked and four that are
	// compressed; in a tmpfs those of the last round alone.
	need := 6 * bytes
	if filesystem(dir) != "tmpfs" {
		need = bytes + 5*bytes*int64(o.rounds)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need {
		return workshop{}, fmt.Errorf("%d MiB free, the trees and copies take up to %d", free>>20, need>>20)
	}
	// The go command looks into no directory that begins with "_".
	dir, err := os.MkdirTemp(dir, "_xcrate-bench-")
	if err != nil {
		return workshop{}, err
	}
	// Programs may run in another directory.
	if dir, err = filepath.Abs(dir); err != nil {
		return workshop{}, err
	}
	w := workshop{dir: dir, filesystem: filesystem(dir)}
	if w.xcrate, err = filepath.Abs(o.xcrate); err != nil {
		return workshop{}, err
	}
	progress("tree of %d files, %d MiB in %s", files, bytes>>20, dir)
	tree := step{argv: []string{o.mksample, "-install-files", strconv.Itoa(files), "-install-bytes", strconv.FormatInt(bytes, 10), w.path("tree")}}
	read := w.shell(step{}, `tar -cf - "$1" | cat >/dev/null`, w.path("tree"))
	// An export believes the times of no file that is younger than a minute.
	settle := step{argv: []string{"sleep", "61"}}
	for _, s := range []step{tree, settle, read} {
		if _, err := w.measure(ctx, s); err != nil {
			_ = os.RemoveAll(dir) // the error that matters is the first
			return workshop{}, err
		}
	}
	return w, nil
}

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

// step is one program to run.
type step struct {
	name   string
	ours   bool
	remove string // what is removed before, outside the clock
	before []string
	argv   []string
}

// shell completes s with a pipe that fails if any program of it does.
func (w workshop) shell(s step, script string, args ...string) step {
	s.argv = append([]string{"bash", "-c", "set -euo pipefail; " + script, "bash"}, args...)
	return s
}

func (w workshop) steps() []step {
	tree, out, file, repo := w.path("tree"), w.path("snapshot"), w.path("tar.zst"), w.path("restic")
	root, unpacked := w.path("root"), w.path("unpacked")
	const pack = `tar -cf - -C "$1" . | zstd -q -1 -T2 | tee "$2" | sha256sum`
	const unpack = `zstd -q -dc "$1" | tar -x -C "$2"`
	backup := []string{"restic", "-q", "-r", repo, "--cache-dir", w.path("cache"), "backup", tree}
	mkdir := []string{"mkdir", unpacked}
	return []step{
		{name: export, ours: true, remove: out, argv: []string{w.xcrate, "export", "--no-encrypt", out, "--root", tree, "--tag", "one", "--cache", w.path("known")}},
		w.shell(step{name: tarZstd, remove: file}, pack, tree, file),
		w.shell(step{name: tarZstdSync, remove: file}, pack+` && sync -f "$2"`, tree, file),
		{name: resticBackup, remove: repo, before: []string{"restic", "-q", "-r", repo, "--cache-dir", w.path("cache"), "init"}, argv: backup},
		{name: reExport, ours: true, argv: []string{w.xcrate, "export", "--no-encrypt", out, "--root", tree, "--tag", "two", "--cache", w.path("known")}},
		{name: resticAgain, argv: backup},
		{name: verify, ours: true, argv: []string{w.xcrate, "verify", out}},
		w.shell(step{name: openssl}, `openssl dgst -sha256 "$1"/blobs/sha256/*`, out),
		{name: imports, ours: true, remove: root, before: []string{"mkdir", root}, argv: []string{w.xcrate, "import", out, "--root", root, "--yes", "--allow-unsigned"}},
		w.shell(step{name: untar, remove: unpacked, before: mkdir}, unpack, file, unpacked),
		w.shell(step{name: untarSync, remove: unpacked, before: mkdir}, unpack+` && sync -f "$2"`, file, unpacked),
	}
}
