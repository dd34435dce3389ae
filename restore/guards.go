package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/service"
)

// selinuxConfig says in which mode SELinux begins (selinux(8)).
const selinuxConfig = "/etc/selinux/config"

// guardFindings say which of the host's guards the stack's packages would switch
// off, and an import leaves on. The source worked without them.
func (p *planner) guardFindings(ctx context.Context) error {
	if len(p.plan.Packages.Install) == 0 {
		return nil
	}
	states, err := service.States(ctx, p.Root, p.Runner, roles(p.Stack.Scripts.Guards))
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	for _, here := range states {
		source := p.snapshot.Config.Services
		i := slices.IndexFunc(source, func(s artifact.Service) bool { return s.Unit == here.Unit })
		if i >= 0 && !isOn(source[i]) && isOn(here) {
			p.find("firewall", Warn, "open its ports to the managed nodes, or: systemctl disable --now "+here.Unit,
				"%s is on here and was off on the source: it stays on", here.Unit)
		}
	}
	b, err := p.Root.ReadFile(selinuxConfig, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(b)), "SELINUX=enforcing") {
		p.find("selinux", Warn, "see that the policy lets the services of "+p.Stack.Title+" work, or change "+selinuxConfig,
			"SELinux enforces its policy here: the packages of %s would switch it off, it stays on", p.Stack.Title)
	}
	return nil
}

// isOn reports whether a unit runs, or does when the machine is started.
func isOn(s artifact.Service) bool { return isActive(s) || s.Enabled == "enabled" }
