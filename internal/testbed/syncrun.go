package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// SyncResult tells what one run of a mail client did.
type SyncResult struct {
	ExitCode      int
	Output        string // both streams
	Fetched       int    // files that are new, whatever their flags
	Removed       int    // files that are gone
	Before, After Tree
}

// Changes tells which local mail the run has changed.
func (r SyncResult) Changes() []string { return r.Before.Changes(r.After) }

// Idle returns nil if the run met no error, fetched nothing and left all local
// mail as it was: what a client must see of a moved mailbox. What a client has
// written to the server, a Snapshot tells.
func (r SyncResult) Idle() error {
	changes := r.Changes()
	if r.ExitCode == 0 && len(changes) == 0 {
		return nil
	}
	return fmt.Errorf("exit code %d, %d fetched, %d removed, local changes %.5q; output:\n%s",
		r.ExitCode, r.Fetched, r.Removed, changes, r.Output)
}

// syncRun is one run of a client with the files of its own below dir.
type syncRun struct {
	dir, mail string
	conf      string // name of the configuration file
	text      string // its content
	argv      []string
}

func (run syncRun) do(ctx context.Context) (SyncResult, error) {
	var r SyncResult
	var err error
	if err := os.MkdirAll(run.mail, 0o700); err != nil {
		return r, err
	}
	// It holds the password.
	if err := os.WriteFile(filepath.Join(run.dir, run.conf), []byte(run.text), 0o600); err != nil {
		return r, err
	}
	if r.Before, err = maildirTree(run.mail); err != nil {
		return r, err
	}
	if err := run.exec(ctx, &r); err != nil {
		return r, err
	}
	if r.After, err = maildirTree(run.mail); err != nil {
		return r, err
	}
	was, is := r.Before.messages(), r.After.messages()
	r.Fetched, r.Removed = lacking(is, was), lacking(was, is)
	return r, nil
}

// exec takes an exit code for a result, not for an error.
func (run syncRun) exec(ctx context.Context, r *SyncResult) error {
	bin, err := binary(run.argv[0])
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, bin, run.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = run.dir, &out, &out
	// A home of its own: neither the user's files nor a shared cache play a part.
	cmd.Env = append(os.Environ(), "HOME="+run.dir, "LC_ALL=C.UTF-8")
	err = cmd.Run()
	r.Output, r.ExitCode = out.String(), cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return err
}

// host gives the name to verify a certificate by: clients compare names, few
// of them addresses.
func host(addr string) (name, port string, err error) {
	name, port, err = net.SplitHostPort(addr)
	if name == "127.0.0.1" {
		name = "localhost"
	}
	return name, port, err
}
