package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
)

// SQLiteOptions are the choices of OpenSQLite.
type SQLiteOptions struct {
	// TempDir is where private copies are made of files that cannot be read
	// without writing: those left in the middle of a transaction, and those in
	// WAL mode. Copies go into directories of mode 0700 and are removed again.
	TempDir string
	// Wait is how long to wait for programs that are writing; 0 is 30 seconds.
	Wait time.Duration
}

const (
	defaultWait = 30 * time.Second
	// shortWait is for a writer to end while others are held up.
	shortWait = 250 * time.Millisecond
	retryWait = 20 * time.Millisecond
)

// SQLite is a Source of one file per table. While it is open nobody can write
// to any of the files: close it soon. It is for one goroutine.
type SQLite struct {
	files []*tableFile // those with a table, sorted by it
	left  []artifact.LeftOut
	empty []*tableFile
}

// OpenSQLite opens all files TABLE.sqlite in dir, a directory of this machine,
// and holds a read lock on all of them before the first row is read, so that
// what it says is the state of one moment. A file that is busy for longer than
// o.Wait, is no database, is corrupt, or holds another table than its name
// says is an error that names it. Nothing is created or written in dir.
//
// A file without a table, which xCAT makes when an open is interrupted, and
// whatever else a file holds beside its table are listed in LeftOut.
func OpenSQLite(ctx context.Context, dir string, o SQLiteOptions) (*SQLite, error) {
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	files, err := lockAll(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	s := &SQLite{}
	var errs []error
	for _, f := range files {
		if err := f.inspect(ctx); err != nil {
			errs = append(errs, fmt.Errorf("table %q: %s: %w", f.table, f.path, err))
		}
		s.left = append(s.left, f.leftOut()...)
		if f.empty {
			s.empty = append(s.empty, f)
		} else {
			s.files = append(s.files, f)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// lockAll opens all files at one moment. A program may write to one table
// while it waits to write to another, so nothing is held while waiting: on a
// busy file all locks are dropped, and that file comes first in the next try.
func lockAll(ctx context.Context, dir string, o SQLiteOptions) ([]*tableFile, error) {
	waiting, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	first := ""
	for {
		files, busy, err := tryAll(waiting, dir, first, o)
		switch {
		case err == nil:
			return files, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case busy == "":
			return nil, err
		case waiting.Err() != nil:
			return nil, fmt.Errorf("table %q: %s: %w, for %s now", busy, filepath.Join(dir, busy+fileSuffix), errBusy, o.Wait)
		}
		first = busy
		select {
		case <-waiting.Done():
		case <-time.After(retryWait):
		}
	}
}

// tryAll opens all files of dir, that of table first before the others. busy
// names the table that was in use or changed, "" where the error is another.
func tryAll(ctx context.Context, dir, first string, o SQLiteOptions) (files []*tableFile, busy string, err error) {
	tables, err := listTables(dir, first)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll(files))
			files = nil
		}
	}()
	for i, table := range tables {
		wait := shortWait
		if i == 0 {
			wait = o.Wait
		}
		path := filepath.Join(dir, table+fileSuffix)
		f, err := openTable(ctx, path, table, o, wait)
		if err != nil {
			if errors.Is(err, errBusy) || ctx.Err() != nil {
				busy = table
			}
			return files, busy, fmt.Errorf("table %q: %s: %w", table, path, err)
		}
		files = append(files, f)
	}
	// Between the listing and the last lock tables may have come or gone.
	if now, err := listTables(dir, first); err != nil {
		return files, "", err
	} else if !slices.Equal(now, tables) {
		return files, tables[0], errBusy
	}
	for _, f := range files {
		if changed, err := f.changed(); err != nil {
			return files, "", fmt.Errorf("table %q: %w", f.table, err)
		} else if changed {
			return files, f.table, errBusy
		}
	}
	slices.SortFunc(files, func(a, b *tableFile) int { return strings.Compare(a.table, b.table) })
	return files, "", nil
}

// listTables lists the tables dir has files for, sorted but for first.
func listTables(dir, first string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("database directory: %w", err)
	}
	var tables []string
	for _, e := range entries {
		table, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if !ok {
			continue
		}
		if err := checkTableName(table); err != nil {
			return nil, fmt.Errorf("database directory %s: file %q: table %w", dir, e.Name(), err)
		}
		tables = append(tables, table)
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("database directory %s: no file TABLE%s in it", dir, fileSuffix)
	}
	slices.SortFunc(tables, func(a, b string) int {
		if (a == first) != (b == first) {
			if a == first {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return tables, nil
}

func closeAll(files []*tableFile) error {
	var errs []error
	for _, f := range files {
		if err := f.Close(); err != nil {
			errs = append(errs, fmt.Errorf("table %q: %w", f.table, err))
		}
	}
	return errors.Join(errs...)
}

// Engine implements Source.
func (*SQLite) Engine() Engine { return EngineSQLite }

// Tables implements Source.
func (s *SQLite) Tables(context.Context) ([]string, error) {
	names := make([]string, len(s.files))
	for i, f := range s.files {
		names[i] = f.table
	}
	return names, nil
}

// Schema implements Source.
func (s *SQLite) Schema(_ context.Context, table string) (Schema, error) {
	f, err := s.file(table)
	if err != nil {
		return Schema{}, err
	}
	return f.schema, nil
}

// Rows implements Source.
func (s *SQLite) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	f, err := s.file(table)
	if err != nil {
		return err
	}
	var fault error // of fn, which names the table itself
	err = f.conn.rows(ctx, f.schema, func(row []Value) error {
		fault = fn(row)
		return fault
	})
	if err != nil && fault == nil {
		return fmt.Errorf("table %q: %s: %w", table, f.path, err)
	}
	return err
}

// Count implements Source.
func (s *SQLite) Count(ctx context.Context, table string) (n int64, err error) {
	f, err := s.file(table)
	if err == nil {
		err = f.conn.one(ctx, "SELECT count(*) FROM main."+quoteName(table), &n)
	}
	if err != nil {
		return 0, fmt.Errorf("table %q: count: %w", table, err)
	}
	return n, nil
}

func (s *SQLite) file(table string) (*tableFile, error) {
	i, found := slices.BinarySearchFunc(s.files, table, func(f *tableFile, t string) int { return strings.Compare(f.table, t) })
	if !found {
		return nil, fmt.Errorf("table %q: there is none", table)
	}
	return s.files[i], nil
}

// LeftOut implements Source. Paths are those of this machine.
func (s *SQLite) LeftOut() []artifact.LeftOut { return slices.Clone(s.left) }

// Close implements Source.
func (s *SQLite) Close() error {
	err := closeAll(append(s.files, s.empty...))
	s.files, s.empty = nil, nil
	return err
}
