package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mariaPlan is what Prepare does about one table: at most one statement.
type mariaPlan struct {
	table string
	sql   string // "" for nothing
	did   []string
}

// Prepare implements Target. Nothing is done before all tables are checked.
// Tables that are made, and those that get other characters than ASCII, are
// utf8mb4, whatever the default of the database. Numbers of an AUTO_INCREMENT
// are raised here and not behind the transaction: higher ones do no harm if it
// never comes to that.
func (t *MariaDBTarget) Prepare(ctx context.Context, shapes []Shape) (did []string, err error) {
	if t.prepared != nil || t.began {
		return nil, errors.New("tables were prepared before")
	}
	tables, err := t.conn.tables(ctx)
	if err != nil {
		return nil, err
	}
	var plans []mariaPlan
	var errs []error
	for _, s := range shapes {
		p, err := t.plan(ctx, tables, s)
		if err != nil {
			errs = append(errs, err)
		}
		plans = append(plans, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, p := range plans {
		if p.sql == "" {
			continue
		}
		if err := t.conn.run(ctx, p.sql); err != nil {
			return did, fmt.Errorf("table %q: prepare: %w", p.table, err)
		}
		did = append(did, p.did...)
	}
	if t.tables, err = t.conn.tables(ctx); err != nil {
		return did, err
	}
	t.prepared = map[string]bool{}
	for _, p := range plans {
		t.prepared[p.table] = true
	}
	return did, nil
}

func (t *MariaDBTarget) plan(ctx context.Context, tables []mariaTable, s Shape) (p mariaPlan, err error) {
	if err := checkShape(s); err != nil {
		return p, err
	}
	p.table = s.Schema.Table
	collation, err := t.conn.collationFor(ctx, s.Schema.Collation)
	if err == nil {
		if at, found := findTable(tables, p.table); found {
			err = t.planExisting(ctx, &p, tables[at], s)
		} else if err = checkUTF8(s, nil); err == nil {
			p.sql, err = createMaria(s, collation)
		}
	}
	if err != nil {
		return p, fmt.Errorf("table %q: %w", p.table, err)
	}
	return p, nil
}

// checkUTF8 fails where a text column would get bytes that are none of UTF-8.
// columns are the server's; without them the table is still to be made.
func checkUTF8(s Shape, columns []mariaColumn) error {
	for i, c := range s.Schema.Columns {
		row := s.column(i).NotUTF8
		made := strings.ToLower(c.Type)
		holdsBytes := s.Schema.Collation != "" && mariaTypes.MatchString(made) && mariaColumn{data: dataType(made)}.kind() == mariaBytes
		if columns != nil {
			holdsBytes = columns[i].kind() == mariaBytes
		}
		if row > 0 && !holdsBytes {
			return fmt.Errorf("row %d: column %q: bytes that are no UTF-8, which MariaDB does not hold as text", row, c.Name)
		}
	}
	return nil
}

// dataType is DATA_TYPE of a COLUMN_TYPE: its first word.
func dataType(t string) string {
	name, _, _ := strings.Cut(t, "(")
	name, _, _ = strings.Cut(name, " ")
	return name
}

func (t *MariaDBTarget) planExisting(ctx context.Context, p *mariaPlan, table mariaTable, s Shape) error {
	v, err := table.view(s.Schema)
	if err != nil {
		return err
	}
	if err := checkUTF8(s, v.columns); err != nil {
		return err
	}
	if err := checkNulls(table, v, s); err != nil {
		return err
	}
	if err := t.conn.checkTriggers(ctx, table.name); err != nil {
		return err
	}
	// The table's own collation, not the snapshot's, says which keys are the same
	// to whoever uses this database.
	collation, err := t.conn.collationFor(ctx, table.collation)
	if err != nil {
		return err
	}
	a := alteration{table: table, collation: collation}
	if err := a.decide(v, s); err != nil {
		return err
	}
	p.sql, p.did = a.statement()
	return nil
}

// checkTriggers fails where replacing rows would do more than that.
func (c *mariaConn) checkTriggers(ctx context.Context, table string) error {
	var triggers int
	err := c.one(ctx, `SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ?`,
		&triggers, c.database, table)
	if err == nil && triggers > 0 {
		err = fmt.Errorf("%d triggers would run for every row: drop them first", triggers)
	}
	return err
}

// checkNulls finds what would be NULL in a column that takes none.
func checkNulls(table mariaTable, v mariaView, s Shape) error {
	for i, c := range v.columns {
		if row := s.column(i).Null; row > 0 && c.NotNull {
			return fmt.Errorf("row %d: column %q: NULL, which the column does not take", row, c.Name)
		}
	}
	for _, c := range v.extra(table) {
		if c.NotNull {
			return fmt.Errorf("column %q: is not in the snapshot, and may not be NULL", c.Name)
		}
	}
	return nil
}

// extra lists the columns the table has beside the schema's, without those that
// are computed.
func (v mariaView) extra(table mariaTable) []mariaColumn {
	var all []mariaColumn
	for _, c := range table.columns {
		ours := slices.ContainsFunc(v.columns, func(o mariaColumn) bool { return o.Name == c.Name })
		if !ours && !c.generated {
			all = append(all, c)
		}
	}
	return all
}

// alteration collects what one ALTER TABLE does, so that a table is rewritten
// once.
type alteration struct {
	table     mariaTable
	collation string
	parts     []string
	did       []string
	convert   bool
}

func (a *alteration) decide(v mariaView, s Shape) error {
	if !a.table.innoDB() {
		a.parts = append(a.parts, "ENGINE=InnoDB", "ROW_FORMAT=DYNAMIC")
		a.say("engine %s made InnoDB, whose changes can be taken back", a.table.engine)
	}
	for i, c := range v.columns {
		if s.column(i).Wide > 0 && c.kind() == mariaText && c.charset != mariaCharset {
			a.convertFor(c)
			break
		}
	}
	if err := a.widen(v, s); err != nil {
		return err
	}
	if next := nextNumber(s.Schema); next > max(a.table.next, 1) && slices.ContainsFunc(v.columns, func(c mariaColumn) bool { return c.Auto }) {
		a.parts = append(a.parts, "AUTO_INCREMENT = "+strconv.FormatInt(next, 10))
		a.say("numbers go on behind those of the snapshot")
	}
	return nil
}

func (a *alteration) say(format string, args ...any) {
	a.did = append(a.did, fmt.Sprintf("table %q: ", a.table.name)+fmt.Sprintf(format, args...))
}

// convertFor turns the whole table into utf8mb4: a table in two charsets is a
// trap for whoever comes next.
func (a *alteration) convertFor(c mariaColumn) {
	a.convert = true
	a.parts = append(a.parts, "CONVERT TO CHARACTER SET utf8mb4 COLLATE "+a.collation)
	if a.table.rowFormat != "Dynamic" && a.table.innoDB() {
		a.parts = append(a.parts, "ROW_FORMAT=DYNAMIC") // others have keys of 767 bytes only
	}
	a.say("converted from %s to utf8mb4, collation %s, for the texts of column %q", c.charset, a.collation, c.Name)
}

// widen changes the types of columns that are too short for what comes, or for
// a row when each character takes four bytes.
func (a *alteration) widen(v mariaView, s Shape) error {
	types := make([]string, len(a.table.columns))
	fits := Shape{Schema: Schema{Table: a.table.name}}
	for i, c := range a.table.columns {
		types[i] = strings.ToLower(c.Type)
		fits.Schema.Columns = append(fits.Schema.Columns, c.Column)
		at := slices.IndexFunc(v.columns, func(o mariaColumn) bool { return o.Name == c.Name })
		longest := 0
		if at >= 0 {
			longest = s.column(at).Longest
		}
		fits.Survey.Columns = append(fits.Survey.Columns, ColumnSurvey{Longest: max(longest, charsOf(types[i]))})
		switch capacity := textCapacity(types[i]); {
		case capacity < 0 || longest <= capacity || c.generated:
		case c.Key > 0:
			types[i] = mariaVarchar(longest)
		default:
			types[i] = textType(longest)
		}
	}
	if a.convert || !a.table.innoDB() {
		if err := fitKey(fits, types); err != nil {
			return err
		}
	}
	if a.convert {
		fitRow(fits.Schema, types)
	}
	for i, c := range a.table.columns {
		if types[i] == strings.ToLower(c.Type) {
			continue
		}
		if c.Key > 0 && charsOf(types[i])*mariaCharBytes > mariaKeyBytes {
			return fmt.Errorf("column %q: values of %d bytes, which MariaDB does not take in a key", c.Name, charsOf(types[i]))
		}
		a.modify(c, types[i])
	}
	return nil
}

func (a *alteration) modify(c mariaColumn, to string) {
	charset, collation := c.charset, c.collation
	if a.convert {
		charset, collation = mariaCharset, a.collation
	}
	part := "MODIFY " + quoteMaria(c.Name) + " " + to + " CHARACTER SET " + charset + " COLLATE " + collation
	if c.NotNull {
		part += " NOT NULL"
	} else {
		part += " NULL"
	}
	a.parts = append(a.parts, part)
	text := ""
	if c.standard != "" {
		text = ", its default value is gone"
	}
	a.say("column %q widened from %s to %s%s", c.Name, c.Type, to, text)
}

func (a *alteration) statement() (sql string, did []string) {
	if len(a.parts) == 0 {
		return "", nil
	}
	return "ALTER TABLE " + quoteMaria(a.table.name) + " " + strings.Join(a.parts, ", "), a.did
}
