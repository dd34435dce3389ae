package database

import (
	"context"
	"io"

	"github.com/xcrate/xcrate/artifact"
)

// Target is a database whose tables are replaced: all of them in one step, or
// none. It is for one goroutine. Those on servers are Targets; an import builds
// the files of SQLite one by one and puts them in place under its journal.
type Target interface {
	// Engine says what the database runs on.
	Engine() Engine
	// Prepare makes the tables that are missing, and widens the columns of others
	// that could not hold what is coming. Rows do not change, so an engine that
	// cannot take this back (MariaDB commits each of it) has lost nothing. It
	// returns a line for each thing it did to a table that was there. It comes
	// before the first Put, and once.
	Prepare(ctx context.Context, shapes []Shape) (did []string, err error)
	// Put replaces the rows of a prepared table by those of csv, which has the
	// columns of s in their order. Columns that the engine has besides become NULL.
	// It returns what the engine holds then, read back from it, of the columns of s.
	Put(ctx context.Context, s Schema, csv io.Reader) (artifact.Table, error)
	// Clear removes all rows of a table.
	Clear(ctx context.Context, table string) error
	// Drop removes a table. An engine that cannot take it back does so when it
	// commits.
	Drop(ctx context.Context, table string) error
	// Commit makes all of it what others see.
	Commit(ctx context.Context) error
	// Close gives up what was not committed.
	Close() error
}

// Shape is a table that is to be made or filled, and what its rows demand.
type Shape struct {
	Schema Schema
	Survey Survey
}

// Survey says what the rows of a table demand of the columns that are to hold
// them. The zero Survey demands nothing.
type Survey struct {
	Rows    int64
	Columns []ColumnSurvey // as many as the CSV has
}

// ColumnSurvey is what the values of one column have among them. The numbers
// are those of the first row, counted from 1, that has it; 0 for none.
type ColumnSurvey struct {
	Longest int   // bytes of the longest value
	Null    int64 // a NULL
	Wide    int64 // a byte above 0x7F
	NotUTF8 int64 // bytes that are no UTF-8
	Zero    int64 // a byte 0
	// NotInteger is a text that is no integer of 64 bits as engines print them.
	NotInteger int64
}
