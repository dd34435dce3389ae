package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// ScriptedDebs writes to dir what ScriptedPackages does, as debs: it needs
// dpkg-deb.
func ScriptedDebs(dir, rows string, o ScriptedOptions) error {
	if o.Script == "" {
		o.Script = Script
	}
	b, err := os.ReadFile(rows)
	if err != nil {
		return err
	}
	depends := "xcat-server, goconserver"
	for _, name := range o.Requires {
		depends += ", " + name
	}
	unit := "[Unit]\nDescription=xCAT\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
	for _, p := range []deb{
		{"xcat", "amd64", depends, o.Script, map[string]string{"/etc/xCATMN": "1\n", "/opt/xcat/share/rows.sqlite": string(b)}, nil},
		{"perl-xcat", "all", "", "", map[string]string{"/opt/xcat/lib/perl/xCAT/Version.pm": "sub Version { return 'Version " + xcatVersion + " (git commit 0, built now)'; }\n"}, nil},
		{"xcat-server", "all", "perl-xcat", "", map[string]string{
			"/opt/xcat/sbin/xcatd": "#!/bin/sh\n", "/usr/lib/systemd/system/xcatd.service": unit, "/usr/lib/systemd/system/kea-dhcp4.service": unit,
		}, nil},
		{"goconserver", "amd64", "", "", map[string]string{"/usr/bin/goconserver": "#!/bin/sh\n"}, nil},
	} {
		if err := p.write(dir); err != nil {
			return fmt.Errorf("package %s: %w", p.name, err)
		}
	}
	return nil
}

// deb is a package of ScriptedDebs.
type deb struct {
	name, arch, depends, post string
	content                   map[string]string
	links                     map[string]string
}

func (p deb) write(dir string) error {
	top, err := os.MkdirTemp(dir, ".deb-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(top) }()
	control := "Package: " + p.name + "\nVersion: " + xcatVersion + "-" + xcatRelease + "\nArchitecture: " + p.arch +
		"\nMaintainer: xCAT project (sample) <xcat@example.com>\nDescription: stand-in for tests\n"
	if p.depends != "" {
		control += "Depends: " + p.depends + "\n"
	}
	files := map[string]string{"/DEBIAN/control": control}
	if p.post != "" {
		files["/DEBIAN/postinst"] = "#!/bin/sh\n" + p.post
	}
	for name, body := range p.content {
		files[name] = body
	}
	for name, body := range files {
		at := filepath.Join(top, name)
		mode := os.FileMode(0o644)
		if isProgram(body) {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(body), mode); err != nil {
			return err
		}
		if err := os.Chmod(at, mode); err != nil { // whatever the umask
			return err
		}
	}
	for name, to := range p.links {
		at := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
			return err
		}
	}
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o755)
		}
		return err
	})
	if err != nil {
		return err
	}
	out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", top, dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, out)
	}
	return nil
}
