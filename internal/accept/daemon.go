package accept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// services asks systemd whether what is to run does.
func (t *tester) services(ctx context.Context) Probe {
	if len(t.Units) == 0 {
		return skip("no service is to run here")
	}
	t.down = map[string]bool{}
	var wrong, names []string
	for _, u := range t.Units {
		state := ""
		// Its own word for "not yet" is an answer that waiting changes.
		_ = t.until(func() error {
			out, _, err := t.command(ctx, host.Command{Name: "systemctl", Args: []string{"is-active", u.Unit}})
			state = strings.TrimSpace(string(out))
			switch state {
			case "activating", "reloading":
				return errors.New(state)
			case "":
				state = "unknown to systemctl"
				if err != nil {
					state += " (" + short(err) + ")"
				}
			}
			return nil
		})
		if state != "active" {
			t.down[u.Unit] = true
			wrong, names = append(wrong, u.Unit+" is "+state), append(names, u.Unit)
		}
	}
	if len(wrong) > 0 {
		return fail(fmt.Sprintf("systemctl status %s; journalctl -b -u %s", strings.Join(names, " "), strings.Join(names, " -u ")),
			"%s", strings.Join(wrong, ", "))
	}
	return pass("%s", plural(len(t.Units), "service runs", "services run"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// daemon connects to the ports of the stack's own service.
func (t *tester) daemon(ctx context.Context) Probe {
	p := t.probes()
	units := t.units(p.Daemon)
	if len(units) == 0 {
		return skip("%s is not to run here", p.Daemon)
	}
	var all []Probe
	for _, port := range p.Ports {
		number := t.port(port)
		if err := t.connect(ctx, t.address(localhost, number)); err != nil {
			all = append(all, fail(fmt.Sprintf("systemctl restart %s; journalctl -b -u %s", units[0], units[0]),
				"port %s (%s) does not answer: %s", number, port.What, short(err)))
			continue
		}
		all = append(all, pass("port %s answers", number))
	}
	return join(all)
}

// status has the client ask the daemon over TLS, with root's certificate, through
// the rules of policy, for what it reads in the database: as all of xCAT's commands
// do. XCATBYPASS is not set, or the daemon would have no part in it.
func (t *tester) status(ctx context.Context) Probe {
	p := t.probes()
	units := t.units(p.Daemon)
	if len(units) == 0 {
		return skip("%s is not to run here", p.Daemon)
	}
	root := t.stackRoot()
	program := ""
	for _, name := range p.Status.Names {
		if program == "" {
			program = t.look(root + "/" + name)
		}
	}
	if program == "" {
		return fail("install the package that has it", "%s is not in %s", strings.Join(p.Status.Names, " or "), root)
	}
	cmd := host.Command{Name: program, Args: p.Status.Args, Env: []string{p.RootVar + "=" + root}}
	var out []byte
	hung := false
	err := t.until(func() (err error) {
		out, hung, err = t.command(ctx, cmd)
		if hung {
			return final(err)
		}
		return err
	})
	again := fmt.Sprintf("systemctl restart %s; %s", units[0], cmd)
	switch {
	case hung:
		return fail(fmt.Sprintf("see that the database server runs, it may wait for it; journalctl -b -u %s; %s", units[0], again),
			"%s did not answer within %s and was ended", cmd, t.Limit)
	case err != nil:
		return fail(again, "%s", short(err))
	}
	return t.readStatus(cmd, out, again)
}

// readStatus reads what lsxcatd printed: a line with the version, one with the role,
// and NAME=VALUE for the database.
func (t *tester) readStatus(cmd host.Command, out []byte, again string) Probe {
	p := t.probes()
	version, engine := "", ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Version ") && version == "" {
			version = line
		}
		if value, ok := strings.CutPrefix(line, p.EngineKey+"="); ok {
			engine = value
		}
	}
	if version == "" || engine == "" {
		return fail(again, "%s says neither version nor database, only %q", cmd, short(errors.New(string(bytes.TrimSpace(out)))))
	}
	if want := p.Engines[string(t.known.engine)]; t.known.open && want != engine {
		return fail("systemctl restart "+t.units(p.Daemon)[0], "%s uses a database of %s, while the host's is %s", p.Daemon, engine, want)
	}
	return pass("%s answers: %s, database %s", p.Daemon, version, engine)
}

// stackRoot is where the stack is installed.
func (t *tester) stackRoot() string {
	p := t.probes()
	b, err := t.Root.ReadFile(p.Profile, 1<<20)
	if err == nil {
		for line := range strings.Lines(string(b)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
			if dir, ok := strings.CutPrefix(line, p.RootVar+"="); ok {
				if dir = strings.Trim(dir, `"'`); strings.HasPrefix(dir, "/") {
					return strings.TrimSuffix(dir, "/")
				}
			}
		}
	}
	return t.Stack.Var(nil, "xcatroot")
}

// console connects to the console daemons that are to run.
func (t *tester) console(ctx context.Context) Probe {
	var all []Probe
	for _, c := range t.probes().Consoles {
		for _, unit := range t.units(c.Role) {
			for _, port := range c.Ports {
				if err := t.connect(ctx, t.address(localhost, port.Default)); err != nil {
					all = append(all, fail(fmt.Sprintf("systemctl restart %s; journalctl -b -u %s", unit, unit),
						"%s does not answer on port %s (%s): %s", unit, port.Default, port.What, short(err)))
					continue
				}
				all = append(all, pass("%s answers on port %s", unit, port.Default))
			}
		}
	}
	if len(all) == 0 {
		return skip("no console daemon is to run here")
	}
	return join(all)
}
