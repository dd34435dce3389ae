package accept

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// check runs a program that reads a configuration. what is where it found faults,
// "" if it only says that it did: its words stay unseen, they may quote a secret.
func (t *tester) check(ctx context.Context, program string, args ...string) (what string, err error) {
	var said bytes.Buffer
	_, _, err = t.command(ctx, host.Command{Name: program, Args: args, Output: &said, Private: true})
	if err == nil {
		return "", nil
	}
	return places(said.String()), err
}

var (
	// atLine is how dhcpd, named-checkconf and Kea name a place: "FILE line 3:",
	// "FILE:3:", "FILE:3.17".
	atLine = regexp.MustCompile(`(/[^\s:'"]+)(?: line |:)(\d+)[:.]`)
	// badZone is how named-checkconf -z names a zone: "zone NAME/IN: ...".
	badZone = regexp.MustCompile(`(?m)^zone ([0-9A-Za-z._-]+)/IN: (?:loading from .* failed|not loaded due to errors)`)
)

// places are the lines and zones that text names.
func places(text string) string {
	var all []string
	add := func(s string) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, m := range badZone.FindAllStringSubmatch(text, -1) {
		add("zone " + m[1])
	}
	for _, m := range atLine.FindAllStringSubmatch(text, -1) {
		add(m[1] + " line " + m[2])
	}
	if len(all) == 0 {
		return ""
	}
	return " at " + some(all)
}

// dhcp has the DHCP servers that are to run read their configuration.
func (t *tester) dhcp(ctx context.Context) Probe {
	var all []Probe
	for _, c := range t.probes().Configs {
		units := t.units(c.Role)
		if len(units) == 0 {
			continue
		}
		i := slices.IndexFunc(c.Files, t.Root.Exists)
		if i < 0 {
			all = append(all, fail("makedhcp -n", "%s has no configuration: %s is not there", units[0], strings.Join(c.Files, ", ")))
			continue
		}
		line := strings.Join(slices.Concat([]string{c.Program}, c.Args, c.Files[i:i+1]), " ")
		program := t.look(c.Program)
		if program == "" {
			all = append(all, warn("install "+c.Program, "%s is not installed, so nothing can check the configuration of %s", c.Program, units[0]))
			continue
		}
		if where, err := t.check(ctx, program, append(slices.Clone(c.Args), c.Files[i])...); err != nil {
			all = append(all, fail(fmt.Sprintf("%s; systemctl restart %s", line, units[0]), "%s finds faults%s: %s", line, where, ending(err)))
			continue
		}
		all = append(all, pass("%s is in order", c.Files[i]))
	}
	if len(all) == 0 {
		return skip("no DHCP server is to run here")
	}
	return join(all)
}

// ending is how the program ended.
func ending(err error) string {
	if code := host.ExitCode(err); code >= 0 {
		return fmt.Sprintf("exit code %d", code)
	}
	return short(err) // it was ended, or did not begin: nothing it said is in it
}
