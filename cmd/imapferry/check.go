package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"imapferry/state"
)

const checkUsage = `usage: imapferry check --config FILE [--user NAME] [--json]

Reads the configuration as serve does, then tries everything that it names: certificates, addresses, the store,
the source, the target and its adapter. It prints one line for each check, with what to do, and the fidelity that
results. It changes nothing and may run beside a running imapferry.

  --config FILE  the configuration, TOML
  --user NAME    also log in as this user where the login method needs no password of the user's own, and compare
                 capabilities and how folders are named
  --json         print one JSON object

Exit codes: 0 nothing failed, 1 something failed, 2 the configuration is wrong.
`

// The results of a check.
const (
	resultOK   = "ok"
	resultWarn = "warn" // works, but somebody should know
	resultFail = "fail" // would not work
)

// finding is one line of check's report.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Advice string `json:"advice"` // what to do; empty if nothing
}

// checker tries one configuration.
type checker struct {
	cfg  *config
	user string // to log in as; empty: none

	Checks   []finding      `json:"checks"`
	Fidelity state.Fidelity `json:"fidelity"` // empty: cannot be told
	OK       bool           `json:"ok"`
}

// tryWithin bounds each dialogue with a server.
const tryWithin = 20 * time.Second

func check(ctx context.Context, c *call) error {
	file := c.flags.String("config", "", "")
	user := c.flags.String("user", "", "")
	asJSON := c.flags.Bool("json", false, "")
	cfg, err := c.config(file)
	if err != nil {
		return err
	}
	k := &checker{cfg: cfg, user: *user, OK: true}
	k.ok("config", "%s", *file)
	k.certificates(ctx)
	k.listeners()
	k.names()
	k.moves()
	k.store(ctx)
	k.servers(ctx)
	if *asJSON {
		err = json.NewEncoder(c.stdout).Encode(k)
	} else {
		err = k.print(c)
	}
	if err == nil && !k.OK {
		err = errFailed
	}
	return err
}

// config parses the flags of a command that reads the configuration, and reads it.
func (c *call) config(file *string) (*config, error) {
	if err := c.parseNone(); err != nil {
		return nil, err
	}
	return readConfig(*file)
}

func readConfig(file string) (*config, error) {
	if file == "" {
		return nil, misused{fmt.Errorf("--config FILE is missing")}
	}
	cfg, err := loadConfig(file, os.Environ())
	if err != nil {
		return nil, misused{err}
	}
	return cfg, nil
}

func (k *checker) ok(check, format string, args ...any) {
	k.Checks = append(k.Checks, finding{check, resultOK, fmt.Sprintf(format, args...), ""})
}

func (k *checker) warn(check, advice, format string, args ...any) {
	k.Checks = append(k.Checks, finding{check, resultWarn, fmt.Sprintf(format, args...), advice})
}

func (k *checker) fail(check, advice, format string, args ...any) {
	k.OK = false
	k.Checks = append(k.Checks, finding{check, resultFail, fmt.Sprintf(format, args...), advice})
}

func (k *checker) print(c *call) error {
	tw := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, f := range k.Checks {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Result, f.Check, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(tw, "\t\t-> %s\n", f.Advice)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fidelity := k.Fidelity
	if fidelity == "" {
		fidelity = "cannot be told yet"
	}
	_, err := fmt.Fprintf(c.stdout, "fidelity: %s\n", fidelity)
	return err
}
