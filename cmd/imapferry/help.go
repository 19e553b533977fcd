package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

const helpUsage = `usage: imapferry help [COMMAND]

Shows what a command does and which flags it takes.
`

func help(_ context.Context, c *call) error {
	words, err := c.parse()
	if err != nil {
		return err
	}
	if len(words) == 0 {
		overview(c.stdout)
		return nil
	}
	cmd, ok := find(words[0])
	if !ok {
		return misused{fmt.Errorf("unknown command %q", words[0])}
	}
	fmt.Fprint(c.stdout, cmd.usage)
	return nil
}

func overview(w io.Writer) {
	fmt.Fprint(w, "imapferry moves mailboxes from one IMAP server to another while their users stay logged in.\n\nusage: imapferry COMMAND [FLAGS]\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cmd := range commands() {
		fmt.Fprintf(tw, "  %s\t%s\n", cmd.name, cmd.about)
	}
	tw.Flush()
	fmt.Fprint(w, "\n`imapferry help COMMAND` shows its flags. Exit codes: 0 done, 1 failed, 2 misuse.\n")
}
