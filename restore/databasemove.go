package restore

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// maxRowsShown is how many rows a finding names.
const maxRowsShown = 10

// checkRows looks at every row of the snapshot where another program than this one
// is to store it, or another engine than it came from.
func (p *planner) checkRows(ctx context.Context) error {
	moves := p.goal.from != p.goal.to.Engine
	if !moves && !p.ByStack {
		return nil
	}
	c := rowCheck{planner: p, keys: map[string]*database.KeyCheck{}, schemas: map[string]database.Schema{}}
	if err := p.eachDatabaseFile(ctx, c.file); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	var lines, lost []string
	if moves {
		for _, o := range database.CheckMove(p.goal.from, p.goal.to.Engine, c.shapes) {
			lines = append(lines, o.String())
		}
		collisions, err := c.collisions(ctx)
		if err != nil {
			return fmt.Errorf("rows: %w", err)
		}
		lines = append(lines, collisions...)
	}
	p.findRows("cannot go from "+string(p.goal.from)+" to "+string(p.goal.to.Engine)+" as it is",
		"mend the rows on the source and export again, or restore into "+string(p.goal.from), lines)
	for _, l := range c.lost {
		lost = append(lost, l.String())
	}
	p.findRows("is more than the stack's own program restores", "let xcrate restore the database: --db-restore xcrate", lost)
	return nil
}

// findRows refuses the import because of rows.
func (p *planner) findRows(what, remedy string, lines []string) {
	if len(lines) == 0 {
		return
	}
	shown := lines[:min(len(lines), maxRowsShown)]
	more := ""
	if n := len(lines) - len(shown); n > 0 {
		more = fmt.Sprintf("\nand %d more", n)
	}
	p.find(CodeRows, Block, remedy, "%s:\n%s%s", "what the snapshot holds "+what, strings.Join(shown, "\n"), more)
}

// rowCheck reads the tables of a snapshot once, and those with keys that collide
// once more.
type rowCheck struct {
	*planner
	schemas map[string]database.Schema
	shapes  []database.Shape
	keys    map[string]*database.KeyCheck
	lost    []*loss
	again   bool
}

func (c *rowCheck) file(e artifact.Entry, r io.Reader) error {
	if e.Path == artifact.SchemaFile {
		schemas, err := readSchemas(r)
		for _, s := range schemas {
			c.schemas[s.Table] = s
		}
		return err
	}
	table := c.tableOf(e)
	s, ok := c.schemas[table]
	if table == "" || !ok {
		return nil
	}
	var watch []func([]database.Value)
	if c.goal.to.Engine == database.EngineMariaDB && c.goal.from != database.EngineMariaDB {
		if c.keys[table] == nil {
			c.keys[table] = database.NewKeyCheck(s, "")
		}
		watch = append(watch, c.keys[table].Row)
	}
	if c.ByStack && !c.again {
		watch = append(watch, c.watchLosses(s))
	}
	survey, err := database.SurveyCSV(r, s, watch...)
	if !c.again {
		c.shapes = append(c.shapes, database.Shape{Schema: s, Survey: survey})
	}
	return err
}

// loss is what xCAT's own reader does not take as it is, in a column of a table,
// "" for whole rows.
type loss struct {
	table, column, what string
	row, more           int // the first of them, and how many there are after it
}

func (l loss) String() string {
	at := fmt.Sprintf("table %q: ", l.table)
	if l.column != "" {
		at += fmt.Sprintf("column %q: ", l.column)
	}
	at += fmt.Sprintf("row %d", l.row)
	if l.more > 0 {
		at += fmt.Sprintf(" and %d more", l.more)
	}
	return at + ": " + l.what
}

// watchLosses notes what xCAT's own reader does not take as it is.
func (c *rowCheck) watchLosses(s database.Schema) func([]database.Value) {
	n, found := 0, map[loss]*loss{}
	note := func(column, what string) {
		key := loss{table: s.Table, column: column, what: what}
		if l := found[key]; l != nil {
			l.more++
			return
		}
		l := key
		l.row = n
		found[key] = &l
		c.lost = append(c.lost, &l)
	}
	return func(row []database.Value) {
		n++
		if !slices.ContainsFunc(row, func(v database.Value) bool { return !v.Null }) {
			note("", "nothing but NULL, which it refuses")
			return
		}
		for i, v := range row {
			switch column := s.Columns[i]; {
			case database.TabrestoreLoses(v):
				note(column.Name, "blanks before a line's end, or blank lines, which it cuts off")
			case v.Null && column.Key > 0:
				note(column.Name, "NULL in a key, which it makes an empty text of")
			case column.Auto && v.Text != strconv.Itoa(n):
				note(column.Name, "a number of its own, which it gives anew")
			}
		}
	}
}

func (c *rowCheck) collisions(ctx context.Context) (lines []string, err error) {
	for _, k := range c.keys {
		c.again = k.Again() || c.again
	}
	if !c.again {
		return nil, nil
	}
	if err := c.eachDatabaseFile(ctx, c.file); err != nil {
		return nil, err
	}
	for _, t := range c.snapshot.Config.Database.Tables {
		k := c.keys[t.Name]
		if k == nil {
			continue
		}
		shown, total := k.Collisions()
		for _, one := range shown {
			lines = append(lines, one.String())
		}
		if n := total - int64(len(shown)); n > 0 {
			lines = append(lines, fmt.Sprintf("table %q: %d more keys that collide", t.Name, n))
		}
	}
	return lines, nil
}
