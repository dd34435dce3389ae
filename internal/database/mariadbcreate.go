package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// column is what is known of the rows' values in column i.
func (s Shape) column(i int) ColumnSurvey {
	if i < len(s.Survey.Columns) {
		return s.Survey.Columns[i]
	}
	return ColumnSurvey{}
}

// checkShape checks what comes from a snapshot.
func checkShape(s Shape) error {
	if err := s.Schema.Validate(); err != nil {
		return err
	}
	if n := len(s.Survey.Columns); n != 0 && n != len(s.Schema.Columns) {
		return fmt.Errorf("table %q: survey of %d columns, the schema has %d", s.Schema.Table, n, len(s.Schema.Columns))
	}
	return nil
}

// collationFor maps the collation of a table to one of utf8mb4 that the
// server has: it decides which keys are the same, so it is kept as far as it is
// known there. The default of the database is not asked for: mysqlsetup makes
// it latin1's, which loses what is none.
func (c *mariaConn) collationFor(ctx context.Context, recorded string) (string, error) {
	const fallback = "utf8mb4_general_ci"
	charset, rest, _ := strings.Cut(strings.ToLower(recorded), "_")
	if !slices.Contains([]string{mariaCharset, "utf8mb3", "utf8", "latin1"}, charset) ||
		!collationNames.MatchString(rest) {
		return fallback, nil
	}
	collation := mariaCharset + "_" + rest
	err := c.run(ctx, "SELECT _utf8mb4'' COLLATE "+collation)
	if isMaria(err, mariaUnknownCollate, mariaWrongCollate) {
		return fallback, nil
	}
	return collation, err
}

// createMaria is the statement that makes a missing table.
func createMaria(shape Shape, collation string) (string, error) {
	s := shape.Schema
	types, err := mariaColumnTypes(shape)
	if err != nil {
		return "", err
	}
	var parts, keys []string
	for i, c := range s.Columns {
		part := quoteMaria(c.Name) + " " + types[i]
		if c.NotNull || c.Key > 0 {
			if row := shape.column(i).Null; row > 0 {
				return "", fmt.Errorf("row %d: column %q: NULL, which the column does not take", row, c.Name)
			}
			part += " NOT NULL"
		} else {
			part += " NULL" // said aloud: a TIMESTAMP would be NOT NULL
		}
		if c.Auto {
			part += " AUTO_INCREMENT"
		}
		parts = append(parts, part)
	}
	for _, at := range s.order() {
		if s.Columns[at].Key > 0 {
			keys = append(keys, quoteMaria(s.Columns[at].Name))
		}
	}
	if len(keys) > 0 {
		parts = append(parts, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	for _, c := range s.Columns {
		if c.Auto && c.Key != 1 { // must lead an index
			parts = append(parts, "KEY ("+quoteMaria(c.Name)+")")
		}
	}
	sql := "CREATE TABLE " + quoteMaria(s.Table) + " (" + strings.Join(parts, ", ") + ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC" +
		" DEFAULT CHARACTER SET utf8mb4 COLLATE " + collation
	if next := nextNumber(s); next > 0 {
		sql += " AUTO_INCREMENT = " + strconv.FormatInt(next, 10)
	}
	if len(sql) > maxSQL {
		return "", errors.New("statement that makes the table is too long")
	}
	return sql, nil
}

// nextNumber is what AUTO_INCREMENT has to be at least, 0 for whatever it is.
func nextNumber(s Schema) int64 {
	if s.Sequence == nil || *s.Sequence < 1 || *s.Sequence == 1<<63-1 ||
		!slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Auto }) {
		return 0
	}
	return *s.Sequence + 1
}
