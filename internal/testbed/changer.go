package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Changer is a client that does anything that clients do, in a few folders. What the server refuses it does not do.
type Changer struct {
	Made int // changes so far

	name    string
	rng     *rand.Rand
	folders []string
}

// common is how many of the folders belong to all clients: nobody renames or removes them.
const common = 5

// NewChanger returns a client whose choices depend on seed alone. Names of folders and subjects begin with name.
func NewChanger(name string, seed uint64) *Changer {
	return &Changer{name: name, rng: rand.New(rand.NewPCG(seed, uint64(len(name)))),
		folders: []string{"INBOX", "Archive", "Archive/2019", "Sent", "Entw&APw-rfe"}}
}

func (c *Changer) folder() string { return c.folders[c.rng.IntN(len(c.folders))] }

// set is a random range of messages of the open folder.
func (c *Changer) set() string {
	n := 1 + c.rng.IntN(8)
	return fmt.Sprintf("%d:%d", n, n+c.rng.IntN(3))
}

// Change makes one change over the connection on. An error says that the connection is of no use any more.
func (c *Changer) Change(on *Client) error {
	c.Made++
	folder := `"` + c.folder() + `"`
	switch c.rng.IntN(14) {
	case 0, 1, 2:
		mail := Mail{Body: fmt.Sprintf("Subject: %s %d\r\n\r\n%d\r\n", c.name, c.Made, c.rng.Uint64())}
		_, err := on.Append(c.folder(), mail)
		return lost(err)
	case 3, 4:
		return c.do(on, "SELECT "+folder)
	case 5, 6:
		word := []string{`\Seen`, `\Flagged`, `\Answered`, "$Label1", "NewWord"}[c.rng.IntN(5)]
		return c.do(on, "STORE "+c.set()+" "+[]string{"+", "-", ""}[c.rng.IntN(3)]+"FLAGS ("+word+")")
	case 7:
		return c.do(on, "STORE "+c.set()+` +FLAGS (\Deleted)`, "EXPUNGE")
	case 8:
		return c.do(on, "COPY "+c.set()+" "+folder)
	case 9:
		return c.do(on, "MOVE "+c.set()+" "+folder)
	case 10:
		name := fmt.Sprintf("%s %d", c.name, c.Made)
		c.folders = append(c.folders, name)
		return c.do(on, `CREATE "`+name+`"`)
	case 11:
		return c.rename(on)
	case 12:
		return c.remove(on)
	default:
		return c.do(on, []string{"SUBSCRIBE ", "UNSUBSCRIBE "}[c.rng.IntN(2)]+folder)
	}
}

func (c *Changer) do(on *Client, commands ...string) error {
	for _, command := range commands {
		if _, err := on.Do(command); lost(err) != nil {
			return err
		}
	}
	return nil
}

// lost returns err unless it is a mere refusal.
func lost(err error) error {
	if errors.As(err, new(*RefusedError)) {
		return nil
	}
	return err
}

func (c *Changer) rename(on *Client) error {
	i := c.rng.IntN(len(c.folders))
	if i < common {
		return nil
	}
	old := c.folders[i]
	c.folders[i] = fmt.Sprintf("%s renamed %d", c.name, c.Made)
	return c.do(on, `RENAME "`+old+`" "`+c.folders[i]+`"`)
}

// remove deletes a folder, and makes another one of the same name every second time.
func (c *Changer) remove(on *Client) error {
	i := c.rng.IntN(len(c.folders))
	if i < common {
		return nil
	}
	name := c.folders[i]
	if c.rng.IntN(2) == 0 {
		return c.do(on, `DELETE "`+name+`"`, `CREATE "`+name+`"`)
	}
	c.folders = append(c.folders[:i], c.folders[i+1:]...)
	return c.do(on, `DELETE "`+name+`"`)
}
