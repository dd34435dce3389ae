package main

import (
	"encoding/base64"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// startRegistry starts a real registry and sets VAR to its address: registry VAR [USER
// PASSWORD].
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	var o hosttest.RegistryOptions
	if len(args) > 1 {
		o.User, o.Password = args[1], args[2]
	}
	dir := ts.MkAbs("registry-" + args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	r, err := hosttest.StartDockerRegistry(dir, o)
	ts.Check(err)
	ts.Defer(r.Kill)
	ts.Setenv(args[0], r.Host)
}

// writeAuthFile writes what docker login keeps: authfile FILE HOST USER PASSWORD.
func writeAuthFile(ts *testscript.TestScript, _ bool, args []string) {
	auth := base64.StdEncoding.EncodeToString([]byte(args[2] + ":" + args[3]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, args[1], auth), 0o600))
}
