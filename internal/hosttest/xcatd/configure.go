package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// configure is what "xcatconfig -i" does on a fresh machine, which the script of
// package xCAT runs: keys, CA, certificates, rows, services, and a firewall and
// SELinux that are switched off.
func configure(args []string) error {
	if !slices.Equal(args, []string{"-i"}) {
		return fmt.Errorf("xcatconfig %q: only -i", args)
	}
	for _, step := range []func() error{
		hostKeys, tunables, rootKey, exports, certificates, publicCopies, rows, services,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Println("xCAT is now running, it is recommended to tabedit networks")
	return nil
}

// write makes a file, and the directories above, whatever the umask is.
func write(file string, mode os.FileMode, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(file, content, mode), os.Chmod(file, mode))
}

// hostKeys makes the keys all managed nodes get anew, each time.
func hostKeys() error {
	const dir = "/etc/xcat/hostkeys"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.RemoveAll("/install/postscripts/hostkeys")); err != nil {
		return err
	}
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		file := dir + "/ssh_host_" + kind + "_key"
		if err := sshKey(file); err != nil {
			return err
		}
		if err := owned(file, "root", "ssh_keys", 0o640); err != nil {
			return err
		}
		b, err := os.ReadFile(file + ".pub")
		if err != nil {
			return err
		}
		if err := write("/install/postscripts/hostkeys/ssh_host_"+kind+"_key.pub", 0o644, b); err != nil {
			return err
		}
	}
	return nil
}

// owned gives file to a group if there is that group, as xcatconfig does.
func owned(file, owner, group string, mode os.FileMode) error {
	u, err := user.Lookup(owner)
	if err != nil {
		return err
	}
	g, err := user.LookupGroup(group)
	var none user.UnknownGroupError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(g.Gid)
	return errors.Join(err1, err2, os.Chown(file, uid, gid), os.Chmod(file, mode))
}

func tunables() error {
	const file = "/etc/sysctl.d/99-xcat.conf"
	text := []byte("net.ipv4.ip_forward = 1\nnet.ipv4.neigh.default.gc_thresh1 = 30000\n")
	return errors.Join(write(file+".xcatbackup", 0o644, nil), write(file, 0o644, text))
}

func rootKey() error {
	if _, err := os.Stat("/root/.ssh/id_rsa.pub"); err != nil {
		if err := os.MkdirAll("/root/.ssh", 0o700); err != nil {
			return err
		}
		if err := sshKey("/root/.ssh/id_rsa"); err != nil {
			return err
		}
	}
	public, err := os.ReadFile("/root/.ssh/id_rsa.pub")
	if err != nil {
		return err
	}
	if err := write("/root/.ssh/config", 0o600, []byte("Host *\n  StrictHostKeyChecking no\n")); err != nil {
		return err
	}
	return errors.Join(write("/install/postscripts/_ssh/authorized_keys", 0o644, public), write("/root/.ssh/authorized_keys", 0o600, public))
}

func exports() error {
	b, err := os.ReadFile("/etc/exports")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, dir := range []string{"/tftpboot", "/install"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if !bytes.Contains(b, []byte(dir+" ")) {
			b = append(b, dir+" *(rw,no_root_squash,sync,no_subtree_check,insecure)\n"...)
		}
	}
	return write("/etc/exports", 0o644, b)
}

// publicCopies are what nodes fetch.
func publicCopies() error {
	for to, from := range map[string]string{
		"/install/postscripts/ca/ca-cert.pem": "/etc/xcat/ca/ca-cert.pem", "/install/postscripts/_xcat/ca.pem": "/etc/xcat/cert/ca.pem",
	} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := write(to, 0o644, b); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/var/log/consoles", "/var/log/xcat", "/tftpboot/pxelinux.cfg"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	const conf = "/etc/rsyslog.conf"
	b, err := os.ReadFile(conf)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && !bytes.Contains(b, []byte("xCAT settings")) {
		err = errors.Join(write(conf+".XCATORIG", 0o644, b), write(conf, 0o644, append(b, "# xCAT settings\n$ModLoad imudp\n$UDPServerRun 514\n"...)))
	}
	return err
}

// rows are the defaults, made where there is no database yet.
func rows() error {
	if _, err := os.Stat("/etc/xcat/cfgloc"); err == nil {
		return nil
	}
	if _, err := os.Stat("/etc/xcat/site.sqlite"); err == nil {
		return nil
	}
	ctx, t := context.Background(), &tables{engine: "SQLite", dir: "/etc/xcat"}
	if err := makeTables(ctx, t); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	address := "NORESOLUTION"
	if found, err := net.LookupHost(name); err == nil {
		address = found[0]
	}
	for _, s := range []string{
		"INSERT INTO site (key, value) VALUES ('master', '" + address + "'), ('nameservers', '" + address + "'), ('xcatdport', '3001'), ('xcatiport', '3002'), ('installdir', '/install'), ('tftpdir', '/tftpboot')",
		"INSERT INTO policy (priority, name, rule) VALUES ('1', 'root', 'allow'), ('1.2', '" + name + "', 'trusted')",
		"INSERT INTO policy (priority, commands, rule) VALUES ('2.3', 'lsxcatd', 'allow'), ('4.4', 'getpostscript', 'allow')",
		"INSERT INTO networks (netname, net, mask, mgtifname) VALUES ('10_10_0_0-255_255_0_0', '10.10.0.0', '255.255.0.0', 'eth0')",
		"INSERT INTO postscripts (node, postscripts) VALUES ('xcatdefaults', 'syslog,remoteshell,syncfiles')",
	} {
		if err := t.exec(ctx, strings.Fields(s)[2], s); err != nil {
			return err
		}
	}
	return nil
}

// makeTables makes the files of a SQLite database that are missing.
func makeTables(ctx context.Context, t *tables) error {
	for name, columns := range map[string]string{
		"site": "key VARCHAR(128), value TEXT, comments TEXT, disable TEXT, PRIMARY KEY (key)",
		"policy": "priority VARCHAR(128), name TEXT, host TEXT, commands TEXT, noderange TEXT, parameters TEXT, time TEXT, rule TEXT, comments TEXT, " +
			"disable TEXT, PRIMARY KEY (priority)",
		"networks":     "netname VARCHAR(128), net VARCHAR(128), mask VARCHAR(128), mgtifname TEXT, comments TEXT, disable TEXT, PRIMARY KEY (net,mask)",
		"postscripts":  "node VARCHAR(128), postscripts TEXT, postbootscripts TEXT, comments TEXT, disable TEXT, PRIMARY KEY (node)",
		"nodelist":     "node VARCHAR(128), groups TEXT, status TEXT, comments TEXT, disable TEXT, PRIMARY KEY (node)",
		"notification": "filename VARCHAR(128), tables TEXT NOT NULL, tableops TEXT, comments TEXT, disable TEXT, PRIMARY KEY (filename)",
	} {
		file := filepath.Join(t.dir, name+".sqlite")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := write(file, 0o600, nil); err != nil {
			return err
		}
		if err := t.exec(ctx, name, "CREATE TABLE "+name+" ("+columns+")"); err != nil {
			return err
		}
	}
	return nil
}

// services switches on what xCAT needs, and off what could be in its way.
func services() error {
	if b, err := os.ReadFile("/etc/selinux/config"); err == nil {
		if err := write("/etc/selinux/config", 0o644, bytes.ReplaceAll(b, []byte("SELINUX=enforcing"), []byte("SELINUX=disabled"))); err != nil {
			return err
		}
	}
	// Units that are not there, and a root without systemd, are no reason to end.
	for _, args := range [][]string{
		{"daemon-reload"},
		{"set-environment", "TERM=xterm"},
		{"restart", "nfs-server"},
		{"enable", "nfs-server"},
		{"restart", "rsyslog"},
		{"enable", "xcatd"},
		{"restart", "xcatd"},
		{"enable", "named"},
		{"restart", "httpd"},
		{"enable", "httpd"},
		{"restart", "apache2"},
		{"enable", "apache2"},
		{"enable", "dhcpd"},
		{"enable", "isc-dhcp-server"},
		{"stop", "firewalld"},
		{"disable", "firewalld"},
	} {
		_ = exec.Command("systemctl", args...).Run()
	}
	return nil
}
