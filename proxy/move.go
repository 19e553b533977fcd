package proxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// tallyPause is how often the store is told how sessions have moved; the last of them may take minutes.
const tallyPause = time.Second

// moveAll moves the user's sessions to the target, which serves the user from now on, and returns when it is known how
// that ended for each. It is counted.
func (n *Node) moveAll(ctx context.Context, user string) {
	n.touches.forget(user)
	info, err := n.switchOf(ctx, user)
	if err != nil { // sessions that cannot know what to tell their clients
		n.log.Warn("move sessions", "err", err)
		n.lost(ctx, user, "store", n.users.end(user, moved))
		return
	}
	told, waiting := n.users.move(user, info)
	tick := time.NewTicker(tallyPause)
	defer tick.Stop()
	var went int64
	ended := map[string]int64{}
	for waiting > 0 {
		select {
		case reason := <-told:
			waiting--
			switch reason {
			case "":
				went++
			case gone:
			default:
				ended[reason]++
			}
			if waiting > 0 {
				continue
			}
		case <-tick.C:
		}
		n.tally(ctx, user, went, ended)
		went, ended = 0, map[string]int64{}
	}
}

// switchOf reads what sessions have to know of the switch.
func (n *Node) switchOf(ctx context.Context, user string) (switchInfo, error) {
	k, err := n.look(ctx, user)
	switch {
	case err != nil:
		return switchInfo{}, err
	case k.own: // which does not have all folders, whose names clients may not know
		return switchInfo{}, fmt.Errorf("the store does not tell of the switch of %s", user)
	}
	folders, err := n.settle(ctx, k, true)
	if err != nil {
		return switchInfo{}, err
	}
	renamed := slices.ContainsFunc(folders, func(f state.Folder) bool { return f.AtTarget() != f.Name })
	return switchInfo{k.Fidelity, renamed, views(k.Fidelity, folders)}, nil
}

// leaver is how a session enters the target after a switch: with what the login has proven.
type leaver struct {
	srv      *Server
	user     string
	secret   backend.Secret // until the session ends (I8)
	client   backend.Client
	promised backend.Caps
	cfg      relayConfig
}

// open is a targetOpener.
func (l *leaver) open(ctx context.Context, user switchInfo) (*backend.Conn, relayConfig, error) {
	cfg := l.cfg
	cfg.Touched, cfg.Life, cfg.Target = nil, nil, nil
	cfg.Caps = func(backend.Caps) backend.Caps { return l.promised } // a client remembers it
	if user.renamed {
		return nil, cfg, cannot(atNames, "folders have other names at the target")
	}
	cfg.Views = user.views
	cfg.NoModSeq = cfg.NoModSeq || user.fidelity == state.Translated // who was promised none goes on without
	conn, err := l.srv.cfg.Target.Dial(ctx, &l.client)
	if err != nil {
		return nil, cfg, err
	}
	if _, err = conn.Login(ctx, l.user, l.secret); err == nil {
		err = l.keepsPromise(user.fidelity, conn.Caps)
	}
	if err != nil {
		conn.Close()
		return nil, cfg, err
	}
	l.srv.learned.note(l.srv.cfg.Target.Name(), conn.Caps)
	cfg.LiteralPlus = conn.Caps.Has("LITERAL+")
	return conn, cfg, nil
}

// keepsPromise looks whether the target can all that the client was promised. Literals without waiting the relay makes
// itself, and a limit that has grown smaller refuses messages in plain words.
func (l *leaver) keepsPromise(fidelity state.Fidelity, target backend.Caps) error {
	can := promise(state.Migrated, fidelity, nil, target)
	for _, c := range l.promised {
		if !can.Has(c) && c != "LITERAL+" && !isLimit(c) {
			return cannot(atCapability, "target does not offer %s, which the client was promised", c)
		}
	}
	return nil
}
