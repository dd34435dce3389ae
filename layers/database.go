package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/stack"
)

// database opens the host's database, learns from it what the stack's paths
// depend on, and writes it as one layer. It is closed again at once, because
// nobody can write to it meanwhile.
func (c *capture) database(ctx context.Context) (err error) {
	where, err := database.Locate(
		func(p string) ([]byte, error) { return c.o.Root.ReadFile(p, 1<<20) },
		func(p string) bool { st, err := c.o.Root.Stat(p); return err == nil && st.IsDir() },
	)
	if err != nil {
		return err
	}
	if where.Engine != database.EngineSQLite {
		return fmt.Errorf("engine %s: this version reads SQLite only", where.Engine)
	}
	dir, err := c.o.Root.Resolve(where.Dir)
	if err != nil {
		return err
	}
	src, err := database.OpenSQLite(ctx, c.o.Root.Path(dir), database.SQLiteOptions{TempDir: c.o.TempDir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	tables, err := readTables(ctx, src, c.o.Stack.Wants())
	if err != nil {
		return err
	}
	if err := c.bind(tables); err != nil {
		return err
	}
	c.config.Database = artifact.Database{Engine: string(where.Engine), Dir: where.Dir}
	c.o.Progress.Phase("database", 0)
	return c.layer(ctx, artifact.KindDatabase, artifact.TypeTarZstd, func(w *layerWriter) error { return c.dump(ctx, src, w) })
}
