package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/xcrate/xcrate/artifact"
)

// MariaDBTarget is a Target on a MariaDB or MySQL server, over one connection.
// All of Put and Clear is one transaction. What a transaction cannot do is done
// right behind it: Drop, and Clear of tables that are not InnoDB's.
type MariaDBTarget struct {
	conn     *mariaConn
	tables   []mariaTable    // sorted by name
	prepared map[string]bool // tables; nil before Prepare
	began    bool
	failed   bool     // what the transaction holds is not to be committed
	later    []string // statements for after the transaction
	packet   int      // bytes of a statement that the server takes
}

// OpenMariaDBTarget connects to the server. Errors wrap ErrUnreachable,
// ErrDenied or ErrNoDatabase where they are about the connection.
func OpenMariaDBTarget(ctx context.Context, l Location) (*MariaDBTarget, error) {
	c, err := connectMaria(ctx, l)
	if err != nil {
		return nil, err
	}
	t := &MariaDBTarget{conn: c}
	// Foreign keys are none of xCAT's. Were they checked, a DELETE could take rows
	// of tables along that nobody replaces.
	//
	// The server may end a transaction itself, for a deadlock: what follows then
	// begins another, which is not committed unless we do.
	err = c.run(ctx, "SET SESSION foreign_key_checks = 0, autocommit = 0")
	if err == nil {
		err = c.one(ctx, "SELECT @@max_allowed_packet", &t.packet)
	}
	if err == nil {
		t.tables, err = c.tables(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("database %q: %w", l.Name, errors.Join(err, c.Close()))
	}
	return t, nil
}

// Engine implements Target.
func (*MariaDBTarget) Engine() Engine { return EngineMariaDB }

// begin starts the transaction before its first statement.
func (t *MariaDBTarget) begin(ctx context.Context) error {
	if t.began {
		return nil
	}
	for _, statement := range []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION"} {
		if err := t.conn.run(ctx, statement); err != nil {
			return err
		}
	}
	t.began = true
	return nil
}

// Put implements Target. After an error the only way on is Close.
func (t *MariaDBTarget) Put(ctx context.Context, s Schema, csv io.Reader) (artifact.Table, error) {
	if err := s.Validate(); err != nil {
		return artifact.Table{}, err
	}
	r, err := NewReader(csv, s.Table)
	if err != nil {
		return artifact.Table{}, err
	}
	got, err := t.put(ctx, s, r)
	if err != nil {
		t.failed = true
		return artifact.Table{}, err
	}
	return got, nil
}

func (t *MariaDBTarget) put(ctx context.Context, s Schema, r *Reader) (got artifact.Table, err error) {
	table, v, err := t.replaced(s)
	if err == nil && !slices.Equal(r.columns, s.names()) {
		err = errors.New("header: columns are not those of the schema, or in another order")
	}
	if err == nil {
		err = t.begin(ctx)
	}
	if err == nil {
		err = t.conn.run(ctx, "DELETE FROM "+quoteMaria(table.name))
	}
	if err != nil {
		return got, fmt.Errorf("table %q: %w", s.Table, err)
	}
	if err := t.insert(ctx, v, v.extra(table), r); err != nil {
		return got, err
	}
	if got, err = t.readBack(ctx, table, v); err == nil && got.Rows != r.row {
		err = fmt.Errorf("%d rows of %d", got.Rows, r.row)
	}
	if err != nil {
		return got, fmt.Errorf("table %q: read back: %w", s.Table, err)
	}
	return got, nil
}

// replaced finds the table that Put is to fill.
func (t *MariaDBTarget) replaced(s Schema) (mariaTable, mariaView, error) {
	table, err := t.table(s.Table)
	if err != nil {
		return table, mariaView{}, err
	}
	if !t.prepared[table.name] || !table.innoDB() {
		return table, mariaView{}, errors.New("was not prepared")
	}
	v, err := table.view(s)
	return table, v, err
}

func (t *MariaDBTarget) table(name string) (mariaTable, error) {
	at, found := findTable(t.tables, name)
	if !found {
		return mariaTable{}, errors.New("is not on the server")
	}
	return t.tables[at], nil
}

// insert stores the rows of r, whose errors name the table themselves.
func (t *MariaDBTarget) insert(ctx context.Context, v mariaView, extra []mariaColumn, r *Reader) error {
	in := newMariaInsert(t.conn, v, extra, t.packet)
	runs := newRunReader(v.schema)
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err = runs.apply(r.row, row); err == nil {
			err = in.check(row)
		}
		if err != nil {
			return fmt.Errorf("table %q: row %d: %w", v.schema.Table, r.row, err)
		}
		if err := in.add(ctx, row); err != nil {
			return fmt.Errorf("table %q: %w", v.schema.Table, err)
		}
	}
	err := runs.done()
	if err == nil {
		err = in.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("table %q: %w", v.schema.Table, err)
	}
	return nil
}

// readBack sums up what the transaction sees of the table.
func (t *MariaDBTarget) readBack(ctx context.Context, table mariaTable, v mariaView) (artifact.Table, error) {
	d := newDigester(v.schema.names())
	err := t.conn.rows(ctx, v, v.keyIsOurs(table), func(row []Value) error {
		d.row(row)
		return nil
	})
	if err != nil {
		return artifact.Table{}, err
	}
	return d.table(v.schema.Table), t.checkExtra(ctx, table.name, v.extra(table))
}

// checkExtra makes sure that no default or trigger filled what was put as NULL.
func (t *MariaDBTarget) checkExtra(ctx context.Context, table string, extra []mariaColumn) error {
	for _, c := range extra {
		var filled int
		err := t.conn.one(ctx, "SELECT COUNT("+quoteMaria(c.Name)+") FROM "+quoteMaria(table), &filled)
		if err == nil && filled > 0 {
			err = fmt.Errorf("%d rows have a value where NULL was put", filled)
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// Clear implements Target.
func (t *MariaDBTarget) Clear(ctx context.Context, name string) error {
	table, err := t.table(name)
	if err == nil {
		err = t.conn.checkTriggers(ctx, name)
	}
	if err == nil {
		err = t.begin(ctx)
	}
	if err == nil {
		empty := "DELETE FROM " + quoteMaria(table.name)
		if table.innoDB() {
			err = t.conn.run(ctx, empty)
		} else { // could not be taken back
			t.later = append(t.later, empty)
		}
	}
	if err != nil {
		t.failed = true
		return fmt.Errorf("table %q: %w", name, err)
	}
	return nil
}

// Drop implements Target. The rows go with the transaction, so that a table
// that could not be dropped behind it is an empty one.
func (t *MariaDBTarget) Drop(ctx context.Context, name string) error {
	if err := t.Clear(ctx, name); err != nil {
		return err
	}
	t.later = append(t.later, "DROP TABLE "+quoteMaria(name))
	return nil
}

// Commit implements Target. An error that says so comes from what is done
// behind the transaction, which is then committed.
func (t *MariaDBTarget) Commit(ctx context.Context) error {
	if t.failed {
		return errors.New("commit: a table could not be replaced")
	}
	if err := t.conn.run(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.began, t.prepared = false, nil
	var errs []error
	for _, statement := range t.later {
		if err := t.conn.run(ctx, statement); err != nil {
			errs = append(errs, fmt.Errorf("after the commit: %s: %w", statement, err))
		}
	}
	t.later = nil
	return errors.Join(errs...)
}

// Close implements Target.
func (t *MariaDBTarget) Close() error { return t.conn.Close() }
