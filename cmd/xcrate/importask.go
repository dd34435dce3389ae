package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/restore"
)

// confirm shows the plan and asks. With --json the plan comes with the result.
func (a *app) confirm(ctx context.Context, plan *restore.Plan, o importOptions) (bool, error) {
	if !o.json {
		if err := a.printPlan(ctx, plan, o.showFiles); err != nil {
			return false, err
		}
	}
	if blocked := plan.Blocked(); len(blocked) > 0 {
		return false, refused(blocked)
	}
	return a.goOn(ctx, "import", o.yes || plan.Empty(), "; to see the plan only: --dry-run")
}

// goOn asks whether verb is to be done, unless yes was said before. Where nobody can be
// asked the advice names --yes, and what is added to it.
func (a *app) goOn(ctx context.Context, verb string, yes bool, more string) (bool, error) {
	if yes {
		return true, nil
	}
	if !a.canAsk() {
		return false, usage(errors.New(verb+": nobody to ask: not a terminal"), "to go on without a question: --yes"+more)
	}
	return a.ask(ctx, "Go on?")
}

// refused says which checks stop an import, and how to go on all the same if
// every one of them can be allowed.
func refused(blocked []restore.Finding) error {
	var codes []string
	canAllow := true
	for _, f := range blocked {
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
		canAllow = canAllow && slices.Contains(restore.Codes(), f.Code)
	}
	list := strings.Join(codes, ",")
	err := fmt.Errorf("%w: %s", restore.ErrBlocked, list)
	if !canAllow {
		return hint(err, "mend what the plan says, then try again")
	}
	return hint(err, "mend what the plan says; to go on all the same: --allow %s", list)
}

// ask puts a question that only yes answers. Ctrl-C ends the waiting.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	answer, err := a.askFor(ctx, fmt.Sprintf("\n%s [y/N] ", question))
	if ctx.Err() != nil {
		_, perr := fmt.Fprintln(a.out)
		return false, errors.Join(ctx.Err(), perr)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	}
	_, err = fmt.Fprintln(a.out, "Nothing was changed.")
	return false, err
}

// askFor puts a question and returns the answer. Its error is io.EOF if the input
// ended, and ctx's if that ended first.
func (a *app) askFor(ctx context.Context, question string) (string, error) {
	if _, err := fmt.Fprint(a.out, question); err != nil {
		return "", err
	}
	if a.answers == nil {
		a.answers = bufio.NewReader(a.in) // one for all: it reads ahead
	}
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	go func() {
		text, err := a.answers.ReadString('\n')
		answer <- line{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-answer:
		return l.text, l.err
	}
}
