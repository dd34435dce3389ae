package layers

import (
	"context"
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
	where, err := c.locate()
	if err != nil {
		return err
	}
	all, err := c.open(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	src, err := c.withoutLogs(ctx, all)
	if err != nil {
		return err
	}
	tables, err := readTables(ctx, src, c.o.Stack.Wants())
	if err != nil {
		return err
	}
	if err := c.bind(tables); err != nil {
		return err
	}
	c.config.Database.Skipped = tables.SkipTables()
	if c.config.Database.Server != nil {
		if err := c.describeServer(ctx, all, where, tables); err != nil {
			return err
		}
	}
	if src, err = c.hideSecrets(ctx, src); err != nil {
		return err
	}
	c.o.Progress.Phase("database", 0)
	return c.layer(ctx, artifact.KindDatabase, func(w *partWriter) error { return c.dump(ctx, src, w) })
}

// locate finds out where the database is.
func (c *capture) locate() (database.Location, error) {
	where, err := database.LocateIn(c.o.Root, c.o.XCATCFG)
	if err != nil {
		return where, err
	}
	c.config.Database = artifact.Database{Engine: string(where.Engine), Dir: where.Dir}
	if where.Engine == database.EngineSQLite {
		return where, nil
	}
	c.config.Database.Server = &artifact.DatabaseServer{Host: where.Host, Port: where.Port, Name: where.Name, User: where.User}
	return where, nil
}

// ErrNoServer says that the database of a root is served by nobody.
var ErrNoServer = errors.New("the server of a root that is not running does not run either")

// open opens the database where it is, or where the options say it can be
// reached.
func (c *capture) open(ctx context.Context, where database.Location) (database.Source, error) {
	switch {
	case where.Engine == database.EngineSQLite:
		dir, err := c.o.Root.Resolve(where.Dir)
		if err != nil {
			return nil, err
		}
		where.Dir = c.o.Root.Path(dir)
	case c.o.DatabaseServer != "":
		where.Host, where.Port = database.SplitServer(c.o.DatabaseServer)
	case !c.o.Root.IsLive():
		return nil, fmt.Errorf("engine %s: %w", where.Engine, ErrNoServer)
	}
	return database.Open(ctx, where, database.SQLiteOptions{TempDir: c.o.TempDir})
}

// withoutLogs returns src without the tables that the stack leaves out, and
// writes down how many rows each has.
func (c *capture) withoutLogs(ctx context.Context, src database.Source) (database.Source, error) {
	if c.o.WithLogs {
		return src, nil
	}
	tables, err := src.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		reason := c.o.Stack.LeavesTable(t)
		if reason == "" {
			continue
		}
		n, err := src.Count(ctx, t)
		if err != nil {
			return nil, err
		}
		c.config.Database.LeftOut = append(c.config.Database.LeftOut, artifact.TableLeftOut{Name: t, Rows: n, Reason: reason})
	}
	return database.Without(src, func(t string) bool { return c.o.Stack.LeavesTable(t) != "" }), nil
}

// bind joins the stack with the host's tables and homes, and learns its version.
func (c *capture) bind(tables stack.Tables) (err error) {
	var homes []string
	for _, u := range c.accounts.Users() {
		homes = append(homes, u.Home)
	}
	if c.bound, err = c.o.Stack.Bind(tables, homes); err != nil {
		return err
	}
	c.config.Stack = artifact.Stack{Name: c.o.Stack.Name}
	if b, err := c.o.Root.ReadFile(c.o.Stack.VersionFile, 1<<20); err == nil {
		c.config.Stack.Version = stack.Version(b)
	}
	return nil
}

// readTables returns the rows of the named tables, those the database has.
func readTables(ctx context.Context, src database.Source, names []string) (stack.Tables, error) {
	have, err := src.Tables(ctx)
	if err != nil {
		return nil, err
	}
	tables := stack.Tables{}
	for _, name := range names {
		if !slices.Contains(have, name) {
			continue
		}
		err := database.Records(ctx, src, name, func(row map[string]string) error {
			tables[name] = append(tables[name], row)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// dump writes the schemas and every table. The tables are read twice: a tar
// header needs the size, and a table may be larger than memory. Both passes see
// the same moment, so they write the same bytes.
func (c *capture) dump(ctx context.Context, src database.Source, w *partWriter) error {
	sizes := map[string]int64{}
	measured, err := database.Dump(ctx, src, func(name string, write func(io.Writer) error) error {
		var n byteCounter
		err := write(&n)
		sizes[name] = int64(n)
		return err
	})
	if err != nil {
		return err
	}
	schemas, err := database.EncodeSchemas(measured.Schemas)
	if err != nil {
		return err
	}
	if err := w.addBytes(artifact.SchemaFile, schemas, 0o600, artifact.Time{}); err != nil {
		return err
	}
	dumped, err := database.Dump(ctx, src, func(name string, write func(io.Writer) error) error {
		return w.stream(made(path.Join(artifact.TablesDir, name), sizes[name], 0o600, artifact.Time{}), write)
	})
	if err != nil {
		return err
	}
	if !slices.Equal(measured.Tables, dumped.Tables) {
		return errors.New("two readings of the same moment differ")
	}
	c.config.Database.Tables = dumped.Tables
	for _, l := range src.LeftOut() { // with paths of this machine
		l.Path = c.hostPath(l.Path)
		l.Restore = strings.ReplaceAll(l.Restore, c.o.Root.Path(c.config.Database.Dir), c.config.Database.Dir)
		c.leaveOut(l)
	}
	return nil
}

// hostPath returns p, a path of this machine below the root, as the host names it.
func (c *capture) hostPath(p string) string {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(c.o.Root.Dir(), "/")+"/")
	if !ok {
		return p
	}
	return "/" + rest
}

// byteCounter counts what is written to it.
type byteCounter int64

func (n *byteCounter) Write(p []byte) (int, error) {
	*n += byteCounter(len(p))
	return len(p), nil
}

// stream writes entry e with the content that write writes.
func (w *partWriter) stream(e artifact.Entry, write func(io.Writer) error) error {
	r, pipe := io.Pipe()
	go func() { pipe.CloseWithError(write(pipe)) }()
	err := w.add(e, r)
	r.CloseWithError(errors.New("layer not written")) // lets write end if add did not read all
	return err
}
