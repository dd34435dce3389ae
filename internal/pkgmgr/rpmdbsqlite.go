package pkgmgr

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"

	"github.com/xcrate/xcrate/internal/host"
)

// eachSQLite reads rpmdb.sqlite (rpm's lib/backend/sqlite.c): table Packages
// has a header in every row, the other tables are indexes of it.
func eachSQLite(ctx context.Context, dir *host.Root, file string, fn func([]byte) error) (err error) {
	// "rw" because SQLite recovers a WAL by writing.
	connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: dir.Path(file)}).EscapedPath() + "?mode=rw")
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("quick_check: corrupt: %s", verdict)
	}
	rows, err := db.QueryContext(ctx, "SELECT blob FROM Packages")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var blob sql.RawBytes
		if err := rows.Scan(&blob); err != nil {
			return err
		}
		if err := fn(blob); err != nil {
			return err
		}
	}
	return rows.Err()
}
