package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/registry"
)

func newRegistry(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "registry",
		Short:   "Find out what a registry can do",
		Example: `  xcrate registry check registry.example/mn/cluster7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q", args[0]), "see: xcrate registry --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newRegistryCheck(a))
	return cmd
}

func newRegistryCheck(a *app) *cobra.Command {
	var o registryOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check HOST/REPOSITORY",
		Short: "Try what pushing and pulling need, and say what will not work",
		Long: `Try what pushing and pulling need: the connection, who you are, chunks that go
on after a break, the clock. A blob of a few bytes is sent, which belongs to no
snapshot; the registry sweeps it.`,
		Example: `  xcrate registry check registry.example/mn/cluster7
  xcrate registry check registry.example:5000/mn/cluster7 --ca-file site.pem`,
		Args: args("HOST/REPOSITORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRegistryCheck(cmd.Context(), a, args[0], o, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	o.flags(cmd)
	return cmd
}

// checked is what a check of a registry found.
type checked struct {
	Reference string             `json:"reference"`
	OK        bool               `json:"ok"` // snapshots can be pushed and pulled
	Findings  []registry.Finding `json:"findings"`
}

func runRegistryCheck(ctx context.Context, a *app, text string, o registryOptions, asJSON bool) error {
	if err := mustBe(text, true); err != nil {
		return err
	}
	p, err := parsePlace(text)
	if err != nil {
		return err
	}
	r, err := o.open(ctx, a, *p.remote, progress.None())
	if err != nil {
		return err
	}
	c := checked{Reference: p.at(), OK: true, Findings: r.Check(ctx)}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code := exitOK
	for _, f := range c.Findings {
		switch {
		case !f.Good && f.Needed:
			c.OK, code = false, exitError
		case !f.Good && code == exitOK:
			code = exitWarnings
		}
	}
	if asJSON {
		err = a.printJSON(c)
	} else {
		err = a.print(func(p *printer) { p.checked(c) })
	}
	if err != nil || code == exitOK {
		return err
	}
	return exit(code)
}

// checked prints a line for each finding, and below it what to do.
func (p *printer) checked(c checked) {
	for _, f := range c.Findings {
		mark := "ok   "
		switch {
		case !f.Good && f.Needed:
			mark = "FAIL "
		case !f.Good:
			mark = "note "
		}
		p.line("%s %-10s  %s", mark, f.What, escape(f.Text))
		for line := range strings.Lines(f.Advice) {
			p.line("                  %s", strings.TrimSuffix(line, "\n"))
		}
	}
}
