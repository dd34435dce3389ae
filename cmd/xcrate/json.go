package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/internal/progress"
)

// asksForJSON reports whether args ask for JSON. It is asked before flags are
// parsed, because a mistake in them has to be told in JSON too.
func asksForJSON(args []string) bool {
	asked := false
	for _, arg := range args {
		value, given := strings.CutPrefix(arg, "--json")
		switch {
		case arg == "--":
			return asked
		case !given:
		case value == "":
			asked = true
		case value[0] == '=':
			asked, _ = strconv.ParseBool(value[1:])
		}
	}
	return asked
}

// streams are the terminal's while the app's own are for programs.
type streams struct{ out, err io.Writer }

// forPrograms has standard output hold one JSON document, which report writes at
// the end, and standard error events, one a line. What anybody writes to a.err
// as text becomes a note, and what is written to a.out, help for example, part of
// the document.
func (a *app) forPrograms(on bool) {
	switch {
	case on && a.events == nil:
		a.plain = streams{a.out, a.err}
		a.events = progress.NewEvents(a.err)
		a.out, a.err = &a.text, a.events
	case !on && a.events != nil:
		a.out, a.err, a.events = a.plain.out, a.plain.err, nil
	}
}

// settleStreams is the last word on forPrograms: what looked like --json may
// have been the value of another flag.
func (a *app) settleStreams(c *cobra.Command) {
	f := c.Flags().Lookup("json")
	a.forPrograms(f != nil && f.Value.String() == "true")
	c.Root().SetOut(a.out)
	c.Root().SetErr(a.err)
}

// canAsk reports whether there is somebody to answer a question.
func (a *app) canAsk() bool { return a.events == nil && terminal(a.in) }

// printJSON makes v the document of this run, in place of one given before. It is
// written at the end, with an "error" if there was one, so that there is never
// more than one.
func (a *app) printJSON(v any) error {
	b, err := marshal(v)
	if err == nil {
		a.document = b
	}
	return err
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// problem is an error as programs read it.
type problem struct {
	Message  string `json:"message"`
	Hint     string `json:"hint"`
	ExitCode int    `json:"exit_code"`
}

// failure is the document of a verb that has nothing else to say.
type failure struct {
	Error problem `json:"error"`
}

// said is the document of what only has text: help.
type said struct {
	Text string `json:"text"`
}

// writeDocument ends a run for programs: it writes the document, which tells of
// p as well unless that is nil. It reports whether it was written.
func (a *app) writeDocument(p *problem) bool {
	a.events.Flush()
	doc, err := a.document, error(nil)
	if len(doc) == 0 && p == nil {
		doc, err = marshal(said{a.text.String()})
	}
	if p != nil {
		doc, err = withProblem(doc, *p)
	}
	if err == nil {
		_, err = a.plain.out.Write(doc)
	}
	if err != nil {
		if p != nil {
			a.events.Error(p.Message)
		}
		a.events.Error(err.Error())
	}
	return err == nil
}

// withProblem adds p to doc as its last member. A document that is no object
// holds nothing that helps after an error: p stands alone.
func withProblem(doc []byte, p problem) ([]byte, error) {
	alone, err := marshal(failure{p})
	if err != nil || len(doc) == 0 || doc[0] != '{' {
		return alone, err
	}
	rest := bytes.TrimRight(bytes.TrimSuffix(bytes.TrimSpace(doc), []byte("}")), " \n")
	if !bytes.HasSuffix(rest, []byte("{")) {
		rest = append(bytes.Clone(rest), ',')
	}
	return append(rest, alone[1:]...), nil
}
