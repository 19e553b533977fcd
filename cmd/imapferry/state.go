package main

import (
	"context"
	"fmt"
	"time"

	"imapferry/state/transfer"
)

const stateUsage = `usage: imapferry state export --config FILE [OUT]
       imapferry state import --config FILE [IN]

Brings everything that the store knows of users to another store: from the embedded one to Redis, or back. Stop all
nodes; export from the store that the one configuration names, then import into the one that the other names.

export writes to the file OUT, which must not be there yet, or to standard output. It refuses while a node is alive, and
waits for one that was killed until it counts as dead. It changes nothing in the store. The output has names of users
and folders, and no passwords and no mail.

import reads the file IN, or standard input, and writes into a store that is empty or yet to be made. When it fails or
is killed, no node starts on that store; import again, which begins anew. The store has the id of the one that was
exported, so the nodes' journals belong to it, and a Redis waits for those for which the old one did. Run it as the user
as whom imapferry runs.

Start no node on the old store any more: it does not know of later switches, and would send those users to the source.

  --config FILE  the configuration, TOML
`

func moveState(ctx context.Context, c *call) error {
	file := c.flags.String("config", "", "")
	words, err := c.parse()
	if err != nil {
		return err
	}
	if len(words) == 0 || len(words) > 2 {
		return misused{fmt.Errorf("say export or import, and at most one file; `imapferry help state` shows the use")}
	}
	move, ok := map[string]func(context.Context, *call, stateConfig, string) error{"export": exportState, "import": importState}[words[0]]
	if !ok {
		return misused{fmt.Errorf("%q: say export or import", words[0])}
	}
	path := stdio
	if len(words) == 2 {
		path = words[1]
	}
	cfg, err := readConfig(*file)
	if err != nil {
		return err
	}
	return move(ctx, c, cfg.State, path)
}

// stdio stands for standard input or output in the place of a file.
const stdio = "-"

// waits says why nothing happens for a while.
func (c *call) waits(node string, left time.Duration) {
	fmt.Fprintf(c.stderr, "node %s is in the store's list; if nothing is heard of it, it counts as dead in %s\n", node, left.Round(time.Second))
}

func tellCounts(n transfer.Counts) string {
	return fmt.Sprintf("%d users, %d folders, %d exceptions, %d claims", n.Users, n.Folders, n.Exceptions, n.Claims)
}
