package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Registry is a real registry on a port of the loopback interface.
type Registry struct {
	Host string // 127.0.0.1:PORT
	Dir  string // where it keeps what it has

	name string
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// RegistryOptions say how a registry is set up.
type RegistryOptions struct {
	// User and Password are who may use it; anybody if empty.
	User, Password string
	// Certificate and Key are the files that it speaks TLS with, in PEM.
	Certificate, Key string
	// MirrorOf is the registry, HOST:PORT, that it is a pull-through cache of.
	MirrorOf string
}

// StartDockerRegistry starts Debian's docker-registry (the distribution project's) in
// directory dir. Kill ends it.
func StartDockerRegistry(dir string, o RegistryOptions) (*Registry, error) {
	r := &Registry{Dir: filepath.Join(dir, "data"), name: "docker-registry"}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r.Host = "127.0.0.1:" + port
	config, err := o.config(dir, r)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	r.args = []string{"serve", file}
	return r, r.Start()
}

func (o RegistryOptions) config(dir string, r *Registry) (string, error) {
	config := "version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\nstorage:\n  delete: {enabled: true}\n"
	config += fmt.Sprintf("  filesystem: {rootdirectory: %s}\nhttp:\n  addr: %s\n  secret: of the tests\n", r.Dir, r.Host)
	if o.Certificate != "" {
		config += fmt.Sprintf("  tls: {certificate: %s, key: %s}\n", o.Certificate, o.Key)
	}
	if o.MirrorOf != "" {
		config += fmt.Sprintf("proxy: {remoteurl: 'http://%s'}\n", o.MirrorOf)
	}
	if o.User == "" {
		return config, nil
	}
	file := filepath.Join(dir, "htpasswd")
	hash, err := bcrypt.GenerateFromPassword([]byte(o.Password), bcrypt.MinCost)
	if err == nil {
		err = os.WriteFile(file, fmt.Appendf(nil, "%s:%s\n", o.User, hash), 0o600)
	}
	return config + fmt.Sprintf("auth:\n  htpasswd: {realm: tests, path: %s}\n", file), err
}

// DockerRegistry starts Debian's docker-registry for a test. Without the program the
// test is skipped, or fails where CI=true or XCRATE_TEST_ALL=1 is set.
func DockerRegistry(t testing.TB, o RegistryOptions) *Registry {
	t.Helper()
	NeedProgram(t, "docker-registry", "apt-get install docker-registry")
	r, err := StartDockerRegistry(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	return r
}

// CraneRegistry starts the registry that comes with crane (go-containerregistry's),
// which is another implementation. Without crane it does as DockerRegistry.
func CraneRegistry(t testing.TB) *Registry {
	t.Helper()
	NeedProgram(t, "crane", "make tools")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := &Registry{Host: "127.0.0.1:" + port, Dir: t.TempDir(), name: "crane"}
	r.args = []string{"registry", "serve", "--address", r.Host, "--disk", r.Dir}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	return r
}

// Start starts the registry once more, with what it had.
func (r *Registry) Start() error {
	r.cmd = exec.Command(r.name, r.args...)
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.Host)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			r.Kill()
			return errors.Join(err, errors.New(r.log.String()))
		}
	}
}

// Kill ends the registry as a power cut would.
func (r *Registry) Kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()         // killed: that is its error
}

// NeedProgram skips the test where program name is not there, or fails it where
// CI=true or XCRATE_TEST_ALL=1 is set. install is how one gets it.
func NeedProgram(t testing.TB, name, install string) {
	t.Helper()
	switch err := HaveProgram(name, install); {
	case err != nil && AllTests():
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
}

// HaveProgram reports whether program name is there; install is how one gets it.
func HaveProgram(name, install string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("no %s: %s", name, install)
	}
	return nil
}

// AllTests reports whether every test has to run: CI=true or XCRATE_TEST_ALL=1 is set.
func AllTests() bool {
	return os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1"
}
