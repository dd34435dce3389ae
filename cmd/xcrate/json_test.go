package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/layout"
)

// TestReport tells an error once, in words or in the one document, and never
// loses it beside a part that only carries an exit code.
func TestReport(t *testing.T) {
	bad := hint(errors.New("bad thing"), "do\n        this")
	for name, tc := range map[string]struct {
		err  error
		doc  any
		code int
		want string // the document
	}{
		"good":          {nil, map[string]int{"a": 1}, 0, `{"a":1}`},
		"code_only":     {exit(exitWarnings), map[string]int{"a": 1}, 3, `{"a":1}`},
		"codes_only":    {errors.Join(exit(exitWarnings), exit(exitWarnings)), []int{}, 3, `[]`},
		"error_alone":   {bad, nil, 1, `{"error":{"message":"bad thing","hint":"do this","exit_code":1}}`},
		"error_and_doc": {bad, map[string]int{"a": 1}, 1, `{"a":1,"error":{"message":"bad thing","hint":"do this","exit_code":1}}`},
		"empty_doc":     {bad, struct{}{}, 1, `{"error":{"message":"bad thing","hint":"do this","exit_code":1}}`},
		"list":          {bad, []int{1}, 1, `{"error":{"message":"bad thing","hint":"do this","exit_code":1}}`},
		"joined":        {errors.Join(bad, exit(exitWarnings)), nil, 1, `{"error":{"message":"bad thing","hint":"do this","exit_code":1}}`},
		"usage":         {errors.Join(exit(exitWarnings), usage(errors.New("x"), "y")), nil, 2, `{"error":{"message":"x","hint":"y","exit_code":2}}`},
		"interrupted":   {errors.Join(context.Canceled, exit(exitWarnings)), nil, 130, `{"error":{"message":"interrupted: nothing was left half done","hint":"","exit_code":130}}`},
		"nothing":       {nil, nil, 0, `{"text":""}`},
		"corrupt":       {errors.Join(layout.ErrCorrupt), nil, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errw bytes.Buffer
			a := newApp(strings.NewReader(""), &out, &errw)
			a.forPrograms(true)
			if tc.doc != nil {
				if err := errors.Join(a.printJSON("replaced"), a.printJSON(tc.doc)); err != nil {
					t.Fatal(err)
				}
			}
			if code := a.report(tc.err); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			var one bytes.Buffer
			if err := json.Compact(&one, out.Bytes()); err != nil || tc.want != "" && strings.TrimSpace(one.String()) != tc.want || errw.Len() > 0 {
				t.Errorf("document %s (%v)\nwant     %s\nstderr %s", one.String(), err, tc.want, errw.String())
			}

			var text bytes.Buffer
			a = newApp(strings.NewReader(""), &out, &text)
			code := a.report(tc.err)
			if said := strings.HasPrefix(text.String(), "xcrate: "); code != tc.code || said != (spoken(tc.err) != nil) {
				t.Errorf("in words: exit code %d, %q", code, text.String())
			}
		})
	}
}

func TestAsksForJSON(t *testing.T) {
	for line, want := range map[string]bool{
		"list usb": false, "list usb --json": true, "--json": true, "list --json=false": false, "list --json=1": true,
		"list --json --json=false": false, "list -- --json": false, "list --jsonx": false, "list --json=perhaps": false,
	} {
		if got := asksForJSON(strings.Fields(line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
