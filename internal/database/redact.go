package database

import "context"

// Redacted stands in place of a value that was taken out.
const Redacted = "(left out)"

// Redact is src with Redacted in place of the values for which hide is true. NULL and
// the empty text stay, so that it can be seen whether there was something. row has the
// values of the row by column, NULL columns absent. Rows come in the order of src.
func Redact(src Source, hide func(table, column string, row map[string]string) bool) Source {
	return redacted{src, hide}
}

type redacted struct {
	Source
	hide func(table, column string, row map[string]string) bool
}

// Rows implements Source.
func (r redacted) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	schema, err := r.Schema(ctx, table)
	if err != nil {
		return err
	}
	var clean []Value
	return r.Source.Rows(ctx, table, func(row []Value) error {
		values := map[string]string{}
		for i, v := range row {
			if !v.Null {
				values[schema.Columns[i].Name] = v.Text
			}
		}
		clean = append(clean[:0], row...)
		for i, v := range row {
			if !v.Null && v.Text != "" && r.hide(table, schema.Columns[i].Name, values) {
				clean[i] = Value{Text: Redacted}
			}
		}
		return fn(clean)
	})
}
