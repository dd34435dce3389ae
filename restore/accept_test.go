package restore

import (
	"context"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/stack"
)

// TestServiceNodes names the service nodes of a real node that have to be told of the
// database's new address, and only then.
func TestServiceNodes(t *testing.T) {
	open := func(ctx context.Context) (database.Source, error) {
		return database.OpenSQLite(ctx, "../testdata/real-mn/sqlite", database.SQLiteOptions{TempDir: t.TempDir()})
	}
	for code, want := range map[string]string{"database-host": "updatenode service -P servicenode", "host-name": ""} {
		p := &planner{Options: Options{Stack: stack.XCAT()}, snapshot: &artifact.Snapshot{}, plan: &Plan{Findings: []Finding{{Code: code, Level: Warn}}}}
		a := &applier{planner: p, result: &Result{Report: &Report{}}}
		check(t, a.serviceNodes(t.Context(), open))
		got := ""
		if todo := a.result.Report.ToDo; len(todo) == 1 {
			got = todo[0].Command
		}
		if got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}
