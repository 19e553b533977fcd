package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// The exit codes.
const (
	done   = 0
	failed = 1
	misuse = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) // serve adds the signals
}

// command is one word of the command line. run gets what follows the word and returns the exit code.
type command struct {
	name  string
	about string
	usage string
	run   func(ctx context.Context, c *call) error
}

// commands in the order in which help lists them.
func commands() []command {
	return []command{
		{"serve", "accept clients and move them", serveUsage, serve},
		{"check", "read the configuration and try both servers", checkUsage, check},
		{"status", "show how far one user has come, or all by phase", statusUsage, status},
		{"users", "list users", usersUsage, users},
		{"migrate", "move users now, without waiting for a login", migrateUsage, migrateUsers},
		{"retry", "try users again who are held or wait for their next try", retryUsage, retry},
		{"cutover", "let users be switched now who wait for it", cutoverUsage, cutover},
		{"exceptions", "list what could not be carried over as it was", exceptionsUsage, exceptions},
		{"verify", "compare source and target of one user", verifyUsage, verify},
		{"finalize", "end all work on migrated users", finalizeUsage, finalize},
		{"forget", "no longer wait for the journals of nodes that are gone for good", forgetUsage, forget},
		{"adopt", "give an emptied store the switches that this node knows", adoptUsage, adopt},
		{"state", "bring all state to another store", stateUsage, moveState},
		{"demo", "show a crossing on this machine alone", demoUsage, demo},
		{"version", "show the version", versionUsage, version},
		{"help", "show how a command is used", helpUsage, help},
	}
}

// call is one use of a command.
type call struct {
	flags          *flag.FlagSet
	args           []string
	stdout, stderr io.Writer
}

// misused is an error of whoever typed the command or wrote the configuration: exit 2.
type misused struct{ error }

func (m misused) Unwrap() error { return m.error }

// errFailed says that the command has shown already what went wrong.
var errFailed = errors.New("failed")

// run is the program but for os.Exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		overview(stderr)
		return misuse
	}
	name := args[0]
	if name == "-h" || name == "--help" || name == "-help" {
		name = "help"
	}
	cmd, ok := find(name)
	if !ok {
		fmt.Fprintf(stderr, "imapferry: unknown command %q; `imapferry help` lists all\n", name)
		return misuse
	}
	c := &call{flags: flag.NewFlagSet(name, flag.ContinueOnError), args: args[1:], stdout: stdout, stderr: stderr}
	c.flags.SetOutput(io.Discard) // told below, with the usage
	return exitCode(cmd, cmd.run(ctx, c), stdout, stderr)
}

func exitCode(cmd command, err error, stdout, stderr io.Writer) int {
	var m misused
	switch {
	case err == nil:
		return done
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, cmd.usage)
		return done
	case errors.Is(err, errFailed):
		return failed
	case errors.As(err, &m):
		for _, e := range problemsOf(m.error) {
			fmt.Fprintf(stderr, "imapferry %s: %v\n", cmd.name, e)
		}
		return misuse
	}
	fmt.Fprintf(stderr, "imapferry %s: %v\n", cmd.name, err)
	return failed
}

func find(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// parse reads the flags, which may stand before and behind the arguments, and returns the arguments.
func (c *call) parse() ([]string, error) {
	var words []string
	rest := c.args
	for {
		if err := c.flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, misused{fmt.Errorf("%w; `imapferry help %s` shows the flags", err, c.flags.Name())}
		}
		parsed := rest[:len(rest)-c.flags.NArg()]
		rest = c.flags.Args()
		if len(rest) == 0 {
			return words, nil
		}
		if len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(words, rest...), nil
		}
		words, rest = append(words, rest[0]), rest[1:]
	}
}

// parseNone is parse for commands without arguments.
func (c *call) parseNone() error {
	words, err := c.parse()
	if err == nil && len(words) > 0 {
		err = misused{fmt.Errorf("unexpected argument %q; `imapferry help %s` shows the use", words[0], c.flags.Name())}
	}
	return err
}
