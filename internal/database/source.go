package database

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xcrate/xcrate/artifact"
)

// Source is an open database at one consistent moment: what it says does not
// change until it is closed.
type Source interface {
	// Engine says what the database runs on.
	Engine() Engine
	// Tables lists the tables, sorted by name.
	Tables(ctx context.Context) ([]string, error)
	// Schema says what table is, without Classes.
	Schema(ctx context.Context, table string) (Schema, error)
	// Rows calls fn for each row of table, values in schema order, valid during
	// the call only. Rows come sorted by the columns of the key, then by the
	// others: NULL first, numbers by value where the column holds such, text
	// by its bytes. The first error of fn ends the reading and is returned.
	Rows(ctx context.Context, table string, fn func(row []Value) error) error
	// Count counts the rows of table without reading them.
	Count(ctx context.Context, table string) (int64, error)
	// LeftOut lists what was found beside the tables and is not read, with the
	// reason.
	LeftOut() []artifact.LeftOut
	// Close ends the moment.
	Close() error
}

// What keeps a database server from being used; errors of Open and OpenTarget
// wrap them.
var (
	ErrUnreachable = errors.New("database server cannot be reached")
	ErrDenied      = errors.New("database server refuses the login")
	ErrNoDatabase  = errors.New("database is not on the server")
)

// Dumped is what Dump wrote.
type Dumped struct {
	Tables  []artifact.Table
	Schemas []Schema // with Classes
}

// Put stores one file of a dump. It calls write with where the content goes;
// it may do so more than once, as when the size must be known first, and each
// call writes the same bytes. It returns write's error.
type Put func(name string, write func(io.Writer) error) error

// FileName is the name of table's file in a dump.
func FileName(table string) string { return table + ".csv" }

// Dump hands put the CSV of each table of src, in the order of their names, and
// returns what they hold. Digest and CSV come from the same pass over the rows.
func Dump(ctx context.Context, src Source, put Put) (Dumped, error) {
	var d Dumped
	err := eachTable(ctx, src, func(s Schema) error {
		var t artifact.Table
		err := put(FileName(s.Table), func(w io.Writer) (err error) {
			t, s.Classes, err = dumpTable(ctx, src, s, w)
			return err
		})
		if err == nil && t.Digest == "" {
			err = fmt.Errorf("table %q: was not written", s.Table)
		}
		d.Tables = append(d.Tables, t)
		d.Schemas = append(d.Schemas, s)
		return err
	})
	if err != nil {
		return Dumped{}, err
	}
	return d, nil
}

// Summarise counts the rows of each table of src and takes their digest, as
// Dump does without writing.
func Summarise(ctx context.Context, src Source) ([]artifact.Table, error) {
	var tables []artifact.Table
	err := eachTable(ctx, src, func(s Schema) error {
		t, err := summarise(ctx, src, s)
		tables = append(tables, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tables, nil
}

func eachTable(ctx context.Context, src Source, fn func(Schema) error) error {
	tables, err := src.Tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range tables {
		s, err := src.Schema(ctx, name)
		if err != nil {
			return err
		}
		if err := fn(s); err != nil {
			return err
		}
	}
	return nil
}

func summarise(ctx context.Context, src Source, s Schema) (artifact.Table, error) {
	d := newDigester(s.names())
	err := src.Rows(ctx, s.Table, func(row []Value) error {
		d.row(row)
		return nil
	})
	return d.table(s.Table), err
}

func dumpTable(ctx context.Context, src Source, s Schema, w io.Writer) (artifact.Table, []ClassRun, error) {
	csv, err := NewWriter(w, s.Table, s.names())
	if err != nil {
		return artifact.Table{}, nil, err
	}
	d, runs := newDigester(s.names()), newRunBuilder(len(s.Columns))
	err = src.Rows(ctx, s.Table, func(row []Value) error {
		d.row(row)
		if err := runs.add(d.rows, row); err != nil {
			return fmt.Errorf("table %q: row %d: %w", s.Table, d.rows, err)
		}
		return csv.Write(row)
	})
	if err == nil {
		err = csv.Flush()
	}
	if err != nil {
		return artifact.Table{}, nil, err
	}
	return d.table(s.Table), runs.runs, nil
}

// runBuilder collects ClassRuns.
type runBuilder struct {
	runs []ClassRun
	last []int // by column: 1 + index of its last run, 0 for none
}

func newRunBuilder(columns int) *runBuilder { return &runBuilder{last: make([]int, columns)} }

func (b *runBuilder) add(row int64, values []Value) error {
	for i, v := range values {
		if v.Class == "" {
			continue
		}
		if at := b.last[i] - 1; at >= 0 && b.runs[at].Class == v.Class && b.runs[at].Last == row-1 {
			b.runs[at].Last = row
			continue
		}
		if len(b.runs) == maxClassRuns {
			return errors.New("too many values of another class than their column's")
		}
		b.runs = append(b.runs, ClassRun{Column: i, Class: v.Class, First: row, Last: row})
		b.last[i] = len(b.runs)
	}
	return nil
}

// runReader gives rows back the classes that a CSV does not carry.
type runReader struct {
	byColumn [][]ClassRun // those not yet passed
}

func newRunReader(s Schema) *runReader {
	r := &runReader{byColumn: make([][]ClassRun, len(s.Columns))}
	for _, run := range s.Classes {
		r.byColumn[run.Column] = append(r.byColumn[run.Column], run)
	}
	return r
}

func (r *runReader) apply(row int64, values []Value) error {
	for i, runs := range r.byColumn {
		if len(runs) == 0 || row < runs[0].First {
			continue
		}
		if values[i].Null {
			return fmt.Errorf("column %d: NULL where a %s is listed", i, runs[0].Class)
		}
		values[i].Class = runs[0].Class
		if row == runs[0].Last {
			r.byColumn[i] = runs[1:]
		}
	}
	return nil
}

// done reports runs that lie behind the last row.
func (r *runReader) done() error {
	for i, runs := range r.byColumn {
		if len(runs) > 0 {
			return fmt.Errorf("column %d: a %s is listed in row %d, behind the last", i, runs[0].Class, runs[0].Last)
		}
	}
	return nil
}
