package database

import (
	"context"
	"fmt"

	"github.com/xcrate/xcrate/artifact"
)

// besideTables lists, for the tables $1, what hangs on them, and what else users
// have made in the database: kind, place, name.
const besideTables = `
SELECT CASE WHEN c.relispartition THEN 'partition' WHEN c.relkind IN ('r', 'p') THEN 'table' WHEN c.relkind = 'm' THEN 'materialized view'
    WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'f' THEN 'foreign table' WHEN c.relkind = 'S' THEN 'sequence' END,
  n.nspname || '.' || c.relname, n.nspname || '.' || c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ` + userSchema + ` AND c.oid <> ALL ($1::oid[])
  AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
UNION ALL
SELECT 'function', n.nspname || '.' || p.proname, n.nspname || '.' || p.proname
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE ` + userSchema + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT o.kind, n.nspname || '.' || c.relname, o.name
FROM (
  SELECT 'index' AS kind, i.indrelid AS rel, x.relname AS name
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  WHERE NOT i.indisprimary AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('u', 'x'))
  UNION ALL
  SELECT CASE contype WHEN 'c' THEN 'CHECK constraint' WHEN 'u' THEN 'UNIQUE constraint' WHEN 'f' THEN 'foreign key' ELSE 'constraint' END,
    conrelid, conname FROM pg_catalog.pg_constraint WHERE contype IN ('c', 'u', 'f', 'x', 't')
  UNION ALL
  SELECT 'trigger', tgrelid, tgname FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
  UNION ALL
  SELECT 'rule', ev_class, rulename FROM pg_catalog.pg_rewrite
  UNION ALL
  SELECT 'policy', polrelid, polname FROM pg_catalog.pg_policy
  UNION ALL
  SELECT 'parent table', inhrelid, p.relname FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class p ON p.oid = inhparent
) o JOIN pg_catalog.pg_class c ON c.oid = o.rel JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1::oid[])
ORDER BY 2, 1, 3`

// leftOut lists what is in database and is not read.
func (c *postgresConn) leftOut(ctx context.Context, database string, tables []postgresTable) ([]artifact.LeftOut, error) {
	rows, err := c.query(ctx, besideTables, oids(tables))
	if err != nil {
		return nil, fmt.Errorf("list of what is beside the tables: %w", err)
	}
	var all []artifact.LeftOut
	for _, r := range rows {
		all = append(all, leftObject(database, r[0], r[1], r[2]))
	}
	for _, t := range tables {
		place := t.space + "." + t.name
		for _, col := range t.columns {
			if col.fallback != "" {
				all = append(all, leftObject(database, "default", place, col.Name))
			}
			if col.typ != col.Type {
				l := leftObject(database, "type "+col.typ, place, col.Name)
				l.Reason = "values of this type are carried as text"
				all = append(all, l)
			}
		}
	}
	return all, nil
}

func leftObject(database, kind, place, name string) artifact.LeftOut {
	l := artifact.LeftOut{
		Path: "database " + database + ": " + place, What: kind + " " + name,
		Reason:  "xCAT makes none: only its tables, their columns and keys are taken",
		Restore: "pg_dump --schema-only --table=" + place + " " + database,
	}
	switch kind {
	case "table", "sequence", "materialized view":
		l.Reason = "is not on the search path of xCAT's role"
		l.Restore = "pg_dump --table=" + place + " " + database
		if kind != "table" {
			l.Reason = "xCAT makes none: only tables are taken"
		}
	case "partition":
		l.Reason, l.Restore = "its rows are read with those of its table", ""
	case "function":
		l.Restore = "pg_dump --schema-only " + database
	}
	return l
}
