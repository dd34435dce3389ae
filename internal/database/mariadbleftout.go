package database

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/xcrate/xcrate/artifact"
)

// leftOut lists what the database has beside the rows of its tables.
func (c *mariaConn) leftOut(ctx context.Context, tables []mariaTable) ([]artifact.LeftOut, error) {
	var all []artifact.LeftOut
	add := func(what, reason string) {
		all = append(all, artifact.LeftOut{
			Path: c.database, What: what, Reason: reason,
			Restore: "mysqldump --no-data --routines --events " + c.database,
		})
	}
	for _, t := range tables {
		if t.versioned {
			add("history of table "+t.name, "only the rows of now are taken")
		}
		for _, col := range t.columns {
			if col.generated {
				add("computed column "+col.Name+" of table "+t.name, "it follows from the others")
			} else if col.standard != "" {
				add("default value of column "+col.Name+" of table "+t.name, "xCAT makes tables without")
			}
		}
	}
	for _, look := range mariaOthers(c.mariadb) {
		err := c.each(ctx, look.query, []any{c.database}, func(rows *sql.Rows) error {
			var what string
			if err := rows.Scan(&what); err != nil {
				return err
			}
			add(look.kind+" "+what, look.reason)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", look.kind, err)
		}
	}
	return all, nil
}

// mariaOtherThing is a kind of thing in a database that no snapshot carries.
type mariaOtherThing struct{ kind, reason, query string }

func mariaOthers(mariadb bool) []mariaOtherThing {
	const noCode = "code and rules in the database are none of xCAT's"
	checks := `SELECT CONCAT(CONSTRAINT_NAME, ' of table ', TABLE_NAME) FROM information_schema.TABLE_CONSTRAINTS
		WHERE TABLE_SCHEMA = ? AND CONSTRAINT_TYPE = 'CHECK' ORDER BY 1`
	if mariadb {
		checks = `SELECT CONCAT(CONSTRAINT_NAME, ' of table ', TABLE_NAME) FROM information_schema.CHECK_CONSTRAINTS
			WHERE CONSTRAINT_SCHEMA = ? ORDER BY 1`
	}
	return []mariaOtherThing{
		{"view", "only tables are taken", `SELECT TABLE_NAME FROM information_schema.TABLES
			WHERE TABLE_SCHEMA = ? AND TABLE_TYPE LIKE '%VIEW' ORDER BY 1`},
		{"sequence", "only tables are taken", `SELECT TABLE_NAME FROM information_schema.TABLES
			WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'SEQUENCE' ORDER BY 1`},
		{"index", "xCAT makes none beside the keys", `SELECT DISTINCT CONCAT(INDEX_NAME, ' of table ', TABLE_NAME)
			FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND INDEX_NAME <> 'PRIMARY' ORDER BY 1`},
		{"trigger", noCode, `SELECT CONCAT(TRIGGER_NAME, ' of table ', EVENT_OBJECT_TABLE) FROM information_schema.TRIGGERS
			WHERE TRIGGER_SCHEMA = ? ORDER BY 1`},
		{"routine", noCode, `SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? ORDER BY 1`},
		{"event", noCode, `SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY 1`},
		{"foreign key", noCode, `SELECT CONCAT(CONSTRAINT_NAME, ' of table ', TABLE_NAME) FROM information_schema.TABLE_CONSTRAINTS
			WHERE TABLE_SCHEMA = ? AND CONSTRAINT_TYPE = 'FOREIGN KEY' ORDER BY 1`},
		{"check", noCode, checks},
	}
}
