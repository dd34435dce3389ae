package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
)

// tableFile is one open file: a table, or nothing yet.
type tableFile struct {
	table string
	path  string
	// held is the file itself, with the lock that keeps its content as it is.
	held *os.File
	conn *connection // nil for an empty file
	copy *privateCopy
	// schema is set by inspect, empty by open or inspect.
	schema Schema
	empty  bool
	others []object
}

// openTable opens the file at path and begins a read transaction in it. The
// error is or wraps errBusy where a writer was in the way for longer than wait.
func openTable(ctx context.Context, path, table string, o SQLiteOptions, wait time.Duration) (f *tableFile, err error) {
	if st, err := os.Lstat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	// Opened before SQLite does and closed after: see readLock for why.
	held, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f = &tableFile{table: table, path: path, held: held}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			f = nil
		}
	}()
	wal, err := readHeader(held)
	switch {
	case errors.Is(err, io.EOF):
		f.empty = true
		return f, nil
	case err != nil && !f.hasJournal(): // with one, the header may be what it mends
		return f, err
	case err == nil && !wal:
		err = f.begin(ctx, path, "ro", wait)
		if err == nil {
			return f, holdShared(held)
		}
		if !errors.Is(err, errNeedsCopy) {
			return f, err
		}
	}
	if f.copy, err = copyDatabase(held, path, o.TempDir); err != nil {
		return f, err
	}
	return f, f.begin(ctx, f.copy.path, "rw", wait)
}

func (f *tableFile) hasJournal() bool {
	st, err := os.Lstat(f.path + "-journal")
	return err == nil && st.Size() > 0
}

// begin opens the database at path and starts a transaction: the first read is
// what takes the lock.
func (f *tableFile) begin(ctx context.Context, path, mode string, wait time.Duration) error {
	conn, err := connect(ctx, path, mode, wait)
	if err != nil {
		return err
	}
	var n int
	if err = conn.run(ctx, "BEGIN"); err == nil {
		err = conn.one(ctx, "SELECT count(*) FROM main.sqlite_schema", &n)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	f.conn = conn
	return nil
}

// readHeader checks the first bytes of a database file
// (https://www.sqlite.org/fileformat.html, 1.3) and reports whether it is in
// WAL mode. The error is io.EOF for an empty file.
func readHeader(f *os.File) (wal bool, err error) {
	header := make([]byte, 100)
	n, err := f.ReadAt(header, 0)
	if n == 0 {
		return false, err
	}
	if n < len(header) || string(header[:16]) != "SQLite format 3\x00" {
		return false, errors.New("not an SQLite database")
	}
	return header[18] == 2 || header[19] == 2, nil
}

// inspect checks the file from end to end and learns what its table is.
func (f *tableFile) inspect(ctx context.Context) error {
	if f.empty {
		return nil
	}
	found, err := f.conn.list(ctx, "PRAGMA main.quick_check(3)")
	if err != nil {
		return fmt.Errorf("quick_check: %w", err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("quick_check: corrupt: %s", strings.Join(found, "; "))
	}
	f.schema, f.others, err = f.conn.schema(ctx, f.table)
	if errors.Is(err, errNoTable) {
		f.empty = true
		return nil
	}
	if err != nil {
		return err
	}
	return f.schema.validate()
}

// changed reports whether the file is not the one that was opened any more.
func (f *tableFile) changed() (bool, error) {
	now, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	was, err := f.held.Stat()
	if err != nil {
		return false, err
	}
	if !os.SameFile(now, was) || f.conn == nil && now.Size() > 0 {
		return true, nil
	}
	if f.copy == nil {
		return false, nil
	}
	return f.copy.stale(f.path)
}

// leftOut lists what of the file is not read.
func (f *tableFile) leftOut() []artifact.LeftOut {
	if f.empty {
		return []artifact.LeftOut{{
			Path: f.path, What: "empty database file " + filepath.Base(f.path),
			Reason: "holds no table; xCAT makes the table when it opens the file",
		}}
	}
	var all []artifact.LeftOut
	for _, o := range f.others {
		l := artifact.LeftOut{Path: f.path, What: o.kind + " " + o.name}
		switch {
		case strings.HasPrefix(o.name, "sqlite_stat"):
			l.Reason = "statistics, which ANALYZE makes again"
		case o.name == f.table+"_xcatbackup":
			l.Reason = "copy of the table that an xCAT upgrade left behind"
		default:
			l.Reason = "only the table a file is named for is taken"
			l.Restore = "sqlite3 " + f.path + " .dump"
		}
		all = append(all, l)
	}
	return all
}

// Close ends the transaction and drops the locks.
func (f *tableFile) Close() error {
	var errs []error
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
		f.conn = nil
	}
	if f.copy != nil {
		errs = append(errs, f.copy.Close())
		f.copy = nil
	}
	return errors.Join(append(errs, f.held.Close())...)
}
