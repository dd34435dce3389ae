package database

import "context"

// Records calls fn for each row of table as values by column, NULL columns absent,
// in the order of Rows. The first error of fn ends the reading and is returned.
func Records(ctx context.Context, src Source, table string, fn func(values map[string]string) error) error {
	schema, err := src.Schema(ctx, table)
	if err != nil {
		return err
	}
	return src.Rows(ctx, table, func(row []Value) error {
		values := map[string]string{}
		for i, v := range row {
			if !v.Null {
				values[schema.Columns[i].Name] = v.Text
			}
		}
		return fn(values)
	})
}
