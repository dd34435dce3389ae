package database

import (
	"context"
	"fmt"
)

// Open opens the database at l. Dir, and a Host that is a path, are paths of
// this machine.
func Open(ctx context.Context, l Location, o SQLiteOptions) (Source, error) {
	switch l.Engine {
	case EngineSQLite:
		return OpenSQLite(ctx, l.Dir, o)
	case EnginePostgres:
		return OpenPostgres(ctx, l)
	case EngineMariaDB:
		return OpenMariaDB(ctx, l)
	default:
		return nil, fmt.Errorf("engine %q: unknown", l.Engine)
	}
}

// OpenTarget opens the database at l to replace tables. Only servers have one:
// the files of SQLite get into place in other ways.
func OpenTarget(ctx context.Context, l Location) (Target, error) {
	switch l.Engine {
	case EnginePostgres:
		return OpenPostgresTarget(ctx, l)
	case EngineMariaDB:
		return OpenMariaDBTarget(ctx, l)
	default:
		return nil, fmt.Errorf("engine %q: has no server", l.Engine)
	}
}
