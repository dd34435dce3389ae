package dbserver

import (
	"context"
	"fmt"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// dropIn orders xcatd behind its database. xCAT's own unit waits for the network
// only, and xcatd that finds no database retries for minutes before it fails.
const dropIn = "/etc/systemd/system/xcatd.service.d/xcrate-database.conf"

// dropInText is the content of the drop-in (systemd.unit(5)) that orders xcatd behind
// unit.
func dropInText(unit string) string {
	return "# xcrate: xcatd keeps its tables there.\n[Unit]\nWants=" + unit + ".service\nAfter=" + unit + ".service\n"
}

// bootSteps have the server started when the machine boots, and xcatd after it.
func (s *Server) bootSteps(ctx context.Context, w Want) ([]step, error) {
	var steps []step
	states, err := service.States(ctx, s.root, s.run, [][]string{{s.boot}})
	if err != nil {
		return nil, err
	}
	if len(states) == 0 {
		return nil, fmt.Errorf("unit %s: is not on the host", s.boot)
	}
	if states[0].Enabled != "enabled" && !w.Standby {
		steps = append(steps, step{
			act: Act{Kind: ActEnable, What: "have " + s.boot + " start when the machine does", Name: s.boot},
			do:  s.enable,
		})
	}
	old, err := s.readOld(dropIn)
	if err != nil {
		return nil, err
	}
	want := dropInText(s.boot)
	if old == nil || string(*old) != want {
		steps = append(steps, step{
			act: Act{Kind: ActFile, What: "have xcatd start after " + s.boot, Name: dropIn, Before: old},
			do: func(ctx context.Context) error {
				if err := s.write(ctx, dropIn, want, 0o644); err != nil || !s.managed {
					return err
				}
				return service.Reload(ctx, s.run)
			},
		})
	}
	return steps, nil
}

// enable runs the root's own systemctl: in a root that does not run it makes the
// links and no more.
func (s *Server) enable(ctx context.Context) error {
	_, err := s.run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"enable", s.boot + ".service"}, Chroot: s.chroot()})
	return err
}
