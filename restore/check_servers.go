package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/service"
	"github.com/xcrate/xcrate/internal/stack"
)

// xinetd runs a TFTP server only where it is told to.
const (
	xinetd     = "xinetd.service"
	xinetdTFTP = "/etc/xinetd.d/tftp"
)

// checkServers looks for other servers that answer managed nodes: units that are
// on, and ports that are taken though nothing of the stack serves them.
func (p *planner) checkServers(ctx context.Context) error {
	for _, port := range p.Stack.Served {
		var rivals []string
		for _, unit := range port.Rivals {
			if unit == xinetd && !p.Root.Exists(xinetdTFTP) {
				continue
			}
			name, enabled, err := service.State(p.Root, unit)
			if err != nil {
				return fmt.Errorf("services: %w", err)
			}
			if name != "" && isOn(artifact.Service{Enabled: enabled, Active: service.Active(ctx, p.Root, p.Runner, unit)}) {
				rivals = append(rivals, unit)
			}
		}
		if len(rivals) > 0 {
			p.find(codeServers, Warn, "systemctl disable --now "+strings.Join(rivals, " "),
				"%s may serve %s here, beside or before the stack's own", strings.Join(rivals, ", "), port.What)
			continue
		}
		if err := p.checkPort(ctx, port); err != nil {
			return err
		}
	}
	return nil
}

// checkPort looks whether somebody else has a port of the running machine.
func (p *planner) checkPort(ctx context.Context, port stack.Served) error {
	if !p.Root.IsLive() {
		return nil
	}
	taken, err := p.udpTaken(port.Port)
	if err != nil || !taken {
		return err
	}
	var own [][]string
	for _, s := range p.Stack.Services {
		if slices.Contains(port.Roles, s.Role) {
			own = append(own, s.Units)
		}
	}
	states, err := service.States(ctx, p.Root, p.Runner, own)
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	if !slices.ContainsFunc(states, func(s artifact.Service) bool { return isActive(s) }) {
		p.find(codeServers, Warn, fmt.Sprintf("see who it is and stop it: ss -lunp 'sport = :%d'", port.Port),
			"something has UDP port %d, %s, and is no service of the stack", port.Port, port.What)
	}
	return nil
}

// udpTaken reports whether a socket is bound to a UDP port.
func (p *planner) udpTaken(port uint16) (bool, error) {
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := p.Root.ReadFile(file, 16<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue // IPv6 is off
		}
		if err != nil {
			return false, err
		}
		if slices.Contains(boundPorts(string(b)), port) {
			return true, nil
		}
	}
	return false, nil
}

// boundPorts reads the local ports of sockets from a table of proc(5): the second
// column is ADDRESS:PORT in hexadecimal.
func boundPorts(table string) (ports []uint16) {
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		_, port, ok := strings.Cut(words[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); ok && err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}
