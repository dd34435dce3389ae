// Command xcatd stands in for xCAT's daemon and its commands on the machines of
// tests. Installed once and linked under many names, it does by name:
//
//	xcatd        goes into the background, waits for its database, runs TFTP,
//	             and answers clients over TLS on port 3001, by the rows of table
//	             policy; on 3002 it says "ready". It adds its row to table
//	             notification and takes it away when it ends
//	goconserver  listens where the console server does
//	xcatconfig   -i makes what the scripts of xCAT's packages make
//	lsxcatd, tabdump, nodels   ask the daemon, or with XCATBYPASS the database
//	mknb         makes the files of a discovery image
//	make...      nothing
//
// Every command writes how it was called to /var/log/xcat/calls. A file
// /run/xcat-commands/NAME has command NAME say a word and fail ("fail"), or
// never end ("hang"). As with the real ones, a command reads its standard input
// to the end where TERM is not set.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Call is a line of callsFile.
type Call struct {
	Args   []string `json:"args"` // the first is the name
	Bypass string   `json:"bypass,omitempty"`
}

const (
	callsFile = "/var/log/xcat/calls"
	faults    = "/run/xcat-commands/"
)

func main() {
	if err := run(os.Args); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	name := filepath.Base(args[0])
	switch name {
	case "xcatd":
		return daemon()
	case "goconserver":
		return consoles()
	}
	if err := note(Call{append([]string{name}, args[1:]...), os.Getenv("XCATBYPASS")}); err != nil {
		return err
	}
	if os.Getenv("TERM") == "" {
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
	}
	switch b, _ := os.ReadFile(faults + name); strings.TrimSpace(string(b)) {
	case "fail":
		return fmt.Errorf("%s: this was to be expected", name)
	case "hang":
		time.Sleep(time.Hour)
	}
	if name == "xcatconfig" {
		return configure(args[1:])
	}
	lines, err := ask(request{Command: name, Args: args[1:]})
	for _, l := range lines {
		fmt.Println(l)
	}
	return err
}

// note appends a call to the file of calls.
func note(c Call) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(callsFile), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(callsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.Write(append(b, '\n'))
	return err
}
