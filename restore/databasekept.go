package restore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// What lies beside the journal, mode 0600, so that a server is as it was after an
// undo. The journal itself holds no secret.
const (
	keptDir      = "database-before" // a dump of the tables before the import
	keptLocation = "location"        // there: how to log in, as a line of cfgloc
	actsFile     = "database-acts"   // what was set up, a JSON line each
)

// keepTables dumps what the database at l holds, all of it, before it is touched. How
// to log in is kept as the host's own programs do, who are there when it is put back:
// a server that runs for the import alone is not.
func (a *applier) keepTables(ctx context.Context, l database.Location) (err error) {
	src, err := database.Open(ctx, l, database.SQLiteOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if a.had, err = a.lookInto(ctx, src); err != nil || a.kept {
		return err
	}
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if a.server != nil {
		l = a.goal.to
	}
	if err := keepDump(ctx, state, src, l); err != nil {
		return err
	}
	a.kept = true
	r := record{Op: opTables}
	if a.ours() {
		r.Path = rawPath(a.goal.to.Engine)
	}
	return errors.Join(a.journal.write(r), a.journal.sync())
}

// keepBefore keeps the tables of a database server before packages are installed,
// whose scripts write to it. One that does not answer is left alone by them too.
func (a *applier) keepBefore(ctx context.Context) error {
	if a.goal == nil || a.goal.to.Engine == database.EngineSQLite || !service.Running(a.Root) {
		return nil
	}
	err := a.keepTables(ctx, a.login())
	if errors.Is(err, database.ErrUnreachable) || errors.Is(err, database.ErrDenied) || errors.Is(err, database.ErrNoDatabase) {
		return nil
	}
	return err
}

// keepDump writes a dump of src into keptDir, durable.
func keepDump(ctx context.Context, state *host.Dir, src database.Source, l database.Location) (err error) {
	if err := state.RemoveAll(keptDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := state.Mkdir(keptDir, 0o700); err != nil {
		return err
	}
	d, err := state.OpenDir(keptDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	dumped, err := database.Dump(ctx, src, func(name string, write func(io.Writer) error) error { return writeFile(d, name, write) })
	if err != nil {
		return err
	}
	schemas, err := database.EncodeSchemas(dumped.Schemas)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{artifact.SchemaFile: schemas, keptLocation: []byte(l.Line().Reveal())} {
		if err := writeFile(d, name, func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
			return err
		}
	}
	return errors.Join(d.SyncFS(), state.Sync())
}

func writeFile(d *host.Dir, name string, write func(io.Writer) error) (err error) {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// acts writes down what is done to a server, before it is done.
type acts struct {
	file    *os.File
	journal *journal
	engine  database.Engine
	any     bool
}

// openActs opens the list to add to it. listed says that the journal has a record of it
// from before an import was interrupted: what is added is taken back there too, after
// the tables that were kept.
func openActs(w *work, j *journal, engine database.Engine, listed bool) (*acts, error) {
	state, err := w.state()
	if err != nil {
		return nil, err
	}
	f, err := appendLines(state, actsFile) // an import that goes on adds to them
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	return &acts{file: f, journal: j, engine: engine, any: listed}, errors.Join(state.Sync(), state.Close())
}

// note makes act durable. The first also goes into the journal, as the place where
// an undo takes them all back.
func (n *acts) note(act dbserver.Act) error {
	b, err := json.Marshal(act)
	if err != nil {
		return err
	}
	if _, err := n.file.Write(append(b, '\n')); err != nil {
		return err
	}
	if err := n.file.Sync(); err != nil || n.any {
		return err
	}
	n.any = true
	return errors.Join(n.journal.write(record{Op: opServer, Path: rawPath(n.engine)}), n.journal.sync())
}

func (n *acts) close() error { return n.file.Close() }

// readActs returns what note wrote. A last line that was cut off was never acted on.
func readActs(state *host.Dir) (all []dbserver.Act, err error) {
	f, err := state.Open(actsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var act dbserver.Act
		if err := json.Unmarshal(line, &act); err != nil {
			return nil, fmt.Errorf("%s: %w", actsFile, err)
		}
		all = append(all, act)
	}
}

func openKept(d *host.Dir) (l database.Location, dump *database.Files, err error) {
	f, err := d.Open(keptLocation)
	if err != nil {
		return l, nil, err
	}
	line, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return l, nil, err
	}
	if l, err = database.ParseLocation(string(line)); err != nil {
		return l, nil, err
	}
	if f, err = d.Open(artifact.SchemaFile); err != nil {
		return l, nil, err
	}
	schemas, err := readSchemas(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return l, nil, err
	}
	return l, database.NewFiles(l.Engine, schemas, func(name string) (io.ReadCloser, error) { return d.Open(name) }), nil
}
