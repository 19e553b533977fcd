package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"imapferry/internal/testbed"
)

// anyNode is a node that listens.
func (f *fleet) anyNode() *fleetNode {
	for f.ctx.Err() == nil {
		for _, n := range f.nodes {
			if n.listens() != "" {
				return n
			}
		}
		pause(f.ctx, restartPause)
	}
	f.t.Fatalf("no node listens\n%s", &f.timeline)
	return nil
}

// statuses asks a node for all users. It fails while the store's records do not count: they can be listed then, and nobody can log in.
func (f *fleet) statuses() (map[string]userStatus, error) {
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	n := f.anyNode()
	out, err := n.run(ctx, "users", "--json", "--admin", n.admin())
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if status, err := n.run(ctx, "status", "--admin", n.admin()); err != nil {
		return nil, fmt.Errorf("%w: %s", err, status)
	}
	var list []userStatus
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	all := map[string]userStatus{}
	for _, s := range list {
		all[s.User] = s
	}
	return all, nil
}

// awaitMigrated waits until all users are served by the target, and counts whom it has waited for in vain as harmed.
func (f *fleet) awaitMigrated() {
	limit := time.Now().Add(f.size.healing)
	for {
		all, err := f.statuses()
		var late []*fleetUser
		for _, u := range f.users {
			if all[u.name].Phase != "migrated" {
				late = append(late, u)
			}
			if f.lossy && all[u.name].Phase == "held" {
				f.startOver(u, all[u.name].Reason)
			}
		}
		if err == nil && len(late) == 0 {
			return
		}
		if time.Now().After(limit) {
			for _, u := range late {
				u.late = true
				f.problem(u, "is not migrated: %+v (%v)", all[u.name], err)
			}
			return
		}
		pause(f.ctx, time.Second)
	}
}

// judge compares what each user is shown, by every node, with what was acknowledged.
func (f *fleet) judge() {
	for i, u := range f.users {
		n := f.nodes[i%len(f.nodes)]
		if n.listens() == "" {
			n = f.anyNode()
		}
		if err := f.judgeUser(u, n); err != nil {
			f.problem(u, "by node %s: %v", n.name, err)
		}
	}
}

func (f *fleet) judgeUser(u *fleetUser, n *fleetNode) error {
	c, err := testbed.Login(f.ctx, n.listens(), u.name, "pass", testbed.WithCA(f.source.CertFile))
	if err != nil {
		return err
	}
	defer c.Close()
	times, shown, err := everyLetter(c)
	if err != nil {
		return err
	}
	for _, l := range u.letters() {
		if times[l.subject] > 1 {
			f.problem(u, "%s is there %d times", l, times[l.subject])
		}
		if l.uid == 0 { // nothing was promised
			continue
		}
		s, there := shown[l.folder][l.uid]
		if there && s.subject != l.subject {
			f.problem(u, "%s has the place of %q", l, s.subject)
		}
		if err := l.judge(there, s.flags); err != nil {
			f.problem(u, "in the end, by node %s: %v; %s", n.name, err, f.where(u, l))
		}
		if l.removal == granted && times[l.subject] > 0 {
			f.problem(u, "%s is there again, at another UID", l)
		}
	}
	if u.late { // and served by the source
		return nil
	}
	return f.last(u, c)
}

// everyLetter reads all folders.
func everyLetter(c *testbed.Client) (times map[string]int, shown map[string]map[uint32]shownLetter, err error) {
	times, shown = map[string]int{}, map[string]map[uint32]shownLetter{}
	for _, folder := range letterFolders {
		if _, err := c.Do("EXAMINE ", testbed.Quote(folder)); err != nil {
			return nil, nil, err
		}
		replies, err := c.Do("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
		if err != nil {
			return nil, nil, err
		}
		shown[folder] = shownBy(replies)
		for _, s := range shown[folder] {
			times[s.subject]++
		}
	}
	return times, shown, nil
}

// last writes once more through the node, and looks whether that is in the target: that is where the user is served.
func (f *fleet) last(u *fleetUser, c *testbed.Client) error {
	l := &posting{subject: u.name + "-last", folder: "INBOX"}
	if _, err := c.Append(l.folder, l.mail()); err != nil {
		return fmt.Errorf("the last letter: %w", err)
	}
	if at := f.where(u, l); !strings.HasSuffix(at, "the target 1 times") {
		return fmt.Errorf("the last letter is in the wrong place: %s", at)
	}
	return nil
}

// where looks for a letter at both servers, behind the nodes' backs.
func (f *fleet) where(u *fleetUser, l *posting) string {
	var found []string
	for _, d := range []*testbed.Dovecot{f.source, f.target} {
		c, err := testbed.Login(f.ctx, d.IMAP(), u.name, "pass")
		if err != nil {
			return err.Error()
		}
		times, _, err := everyLetter(c)
		c.Close()
		if err != nil {
			return err.Error()
		}
		found = append(found, fmt.Sprintf("%d times", times[l.subject]))
	}
	return "in the source " + found[0] + ", in the target " + found[1]
}

// tell says what is known of a user.
func (f *fleet) tell(u *fleetUser) {
	n := f.anyNode()
	out, err := n.run(f.ctx, "status", u.name, "--json", "--admin", n.admin())
	f.t.Logf("%s: %s (%v)", u.name, out, err)
	for _, n := range f.nodes {
		f.t.Logf("node %s on %s:\n%s", n.name, u.name, n.about(u.name, 60))
	}
}
