package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/internal/backend"
	"imapferry/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bed is a running Server between a client and two backends that the test plays.
type bed struct {
	t      *testing.T
	cfg    Config
	source backend.Config
	target backend.Config
	names  NamesConfig
	store  *fakeStore
	real   Store // in place of store
	offers *fakeOfferer
	clear  bool // the client begins in clear text
	learns bool // the target is asked for its capabilities at the first login

	srv            *Server // nil until the first step
	*cast                  // of the session that is played
	casts          map[byte]*cast
	clientTLS      *tls.Config
	loginTime      time.Duration
	stop           func()
	down           map[string]bool
	before         func(net.Conn) // on the client's connection, before TLS
	sourceL, targL net.Listener
}

func newBed(t *testing.T) *bed {
	b := &bed{
		t: t, source: backend.Defaults(), target: backend.Defaults(), store: newFakeStore(), offers: &fakeOfferer{},
		casts: map[byte]*cast{}, down: map[string]bool{}, loginTime: loginTime,
	}
	b.source.ForwardClient, b.target.ForwardClient = "none", "none"
	b.sourceL, b.targL = listen(t), listen(t)
	b.turnTo(firstSession)
	b.source.URL = "imap://" + b.sourceL.Addr().String()
	b.target.URL = "imap://" + b.targL.Addr().String()
	b.cfg = Config{
		IMAPS: []string{"127.0.0.1:0"}, IMAP: []string{"127.0.0.1:0"}, NodeName: "n1", Drain: time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return b
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// set is a line "@ name words" of a transcript.
func (b *bed) set(line string) error {
	if b.srv != nil {
		return errors.New("settings come before the first step")
	}
	words := strings.Fields(line)
	switch words[0] {
	case "clear":
		b.clear = true
	case "learns":
		b.learns = true
	case "prove":
		b.cfg.Prove = Prove(words[1])
	case "source":
		return configure(&b.source, words[1:])
	case "target":
		return configure(&b.target, words[1:])
	case "down":
		b.down[words[1]] = true
	case "domain":
		b.names.DefaultDomain = words[1]
	case "alias":
		b.names.Aliases = filepath.Join(b.t.TempDir(), "aliases")
		return os.WriteFile(b.names.Aliases, []byte(strings.Join(words[1:], " ")+"\n"), 0o600)
	case "user": // @ user alice migrated [fidelity]
		phase, err := state.ParsePhase(words[2])
		if err != nil {
			return err
		}
		rec := state.Record{User: words[1], Phase: phase}
		if len(words) > 3 {
			rec.Fidelity = state.Fidelity(words[3])
		}
		b.store.put(rec)
	case "folder": // @ folder alice INBOX uidvalidity targetuidvalidity [name at the target]
		var f state.Folder
		if _, err := fmt.Sscan(strings.Join(words[2:], " "), &f.Name, &f.UIDValidity, &f.TargetUIDValidity); err != nil {
			return err
		}
		if len(words) > 5 {
			f.Target = words[5]
		}
		b.store.folders[words[1]] = append(b.store.folders[words[1]], f)
	case "gap": // @ gap alice modseq from to: in the folder before; the mod-sequence is the source's at the switch
		folders := b.store.folders[words[1]]
		f := &folders[len(folders)-1]
		var g state.Gap
		if _, err := fmt.Sscan(strings.Join(words[2:], " "), &f.HighestModSeq, &g.From, &g.To); err != nil {
			return err
		}
		f.Skip(g.From, g.To)
		rec := b.store.records[words[1]]
		rec.Skipped = 1
		b.store.put(rec)
	case "fidelity": // of users who have none in the store
		b.cfg.Fidelity = state.Fidelity(words[1])
	default:
		return fmt.Errorf("unknown setting")
	}
	return nil
}

func configure(cfg *backend.Config, words []string) error {
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "login":
			cfg.Login = backend.Method(v)
		case "master_user":
			cfg.MasterUser = v
		case "master_password":
			cfg.MasterPassword = backend.Secret(v)
		case "user":
			cfg.User = v
		case "forward_client":
			cfg.ForwardClient = v
		default:
			return fmt.Errorf("unknown key %s", k)
		}
	}
	return nil
}

// start runs the server; nothing is set after it.
func (b *bed) start() error {
	if b.down["source"] {
		b.sourceL.Close()
	}
	if b.down["target"] {
		b.targL.Close()
	}
	var err error
	if b.cfg.Source == nil {
		if b.cfg.Source, err = backend.New("source", b.source); err != nil {
			return err
		}
	}
	if b.cfg.Target == nil {
		if b.cfg.Target, err = backend.New("target", b.target); err != nil {
			return err
		}
	}
	if b.cfg.Names, err = NewNames(b.names); err != nil {
		return err
	}
	b.cfg.TLS, b.clientTLS = testTLS(b.t)
	b.cfg.Store, b.cfg.Offer = b.store, b.offers
	if b.real != nil {
		b.cfg.Store = b.real
	}
	if b.srv, err = New(b.cfg); err != nil {
		return err
	}
	b.srv.loginTime = b.loginTime
	if !b.learns {
		b.srv.learned.tried = time.Now()
	}
	if err := b.srv.Listen(b.t.Context()); err != nil {
		return err
	}
	if err := b.srv.Join(b.t.Context(), nil); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.srv.Run(ctx) })
	b.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	b.t.Cleanup(func() {
		for _, c := range b.casts {
			c.hangUp()
		}
		b.stop()
	})
	return nil
}

// peer returns who speaks or hears in a step, connected.
func (b *bed) peer(who byte) (*peer, error) {
	if b.srv == nil {
		if err := b.start(); err != nil {
			return nil, err
		}
	}
	switch who {
	case 'C', 'S':
		if b.client == nil {
			b.client = &peer{}
			return b.client, b.connect(b.client)
		}
		if b.client.conn == nil {
			return nil, errors.New("the client has closed")
		}
		return b.client, nil
	}
	p := b.backends[who]
	if p == nil {
		return nil, fmt.Errorf("unknown step")
	}
	if p.conn != nil {
		return p, nil
	}
	_ = p.accept.(*net.TCPListener).SetDeadline(time.Now().Add(stepTimeout))
	conn, err := p.accept.Accept()
	if err == nil {
		p.use(conn)
	}
	return p, err
}

// connect is the client's way in.
func (b *bed) connect(p *peer) error {
	imaps, imap := b.srv.Addrs()
	addr := imaps[0]
	if b.clear {
		addr = imap[0]
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	if b.before != nil {
		b.before(conn)
	}
	if !b.clear {
		tc := tls.Client(conn, b.clientTLS)
		if err := tc.Handshake(); err != nil {
			return err
		}
		conn = tc
	}
	p.use(conn)
	return nil
}

// await is a line "? check words" of a transcript: it waits until the check holds.
func (b *bed) await(line string) error {
	words := strings.Fields(line)
	switch words[0] {
	case "offered": // ? offered alice secret
		return until(func() bool { return b.offers.has(words[1], words[2]) })
	case "touched": // ? touched alice folder[=uidvalidity/uid][-] …, sorted; - for gone, and "" and names with spaces as Go strings
		return b.touched(words[1], strings.TrimSpace(strings.TrimPrefix(line, "touched "+words[1])))
	case "store-fails":
		b.store.fail(true)
		return nil
	case "begin": // ? begin alice: a cutover begins, and this node acknowledges it
		b.store.begin(words[1], "t1", longBudget)
		return until(func() bool { return b.store.acknowledged("t1") })
	case "again": // ? again alice: the same once more
		b.store.begin(words[1], "t2", longBudget)
		return until(func() bool { return b.store.acknowledged("t2") })
	case "hold": // ? hold alice: a cutover begins, and this node holds
		b.store.begin(words[1], "t1", longBudget)
		return until(func() bool { return b.held(words[1]) })
	case "acknowledged":
		return until(func() bool { return b.store.acknowledged("t1") })
	case "switch": // ? switch alice [fidelity]
		if len(words) > 2 {
			rec, err := b.store.Get(b.t.Context(), words[1])
			if err != nil {
				return err
			}
			rec.Fidelity = state.Fidelity(words[2])
			b.store.put(rec)
		}
		b.store.finish(words[1], state.Migrated)
		return nil
	case "leaving": // ? leaving alice: its sessions know of the switch
		return until(func() bool { return b.srv.node.users.sessionsOnSource(words[1]) == 0 })
	case "silent": // ? silent alice: her one session has read the end of what the client says
		return until(func() bool { return b.silent(words[1]) })
	case "call-off": // ? call-off alice
		b.store.finish(words[1], state.Tailing)
		return nil
	case "moved": // ? moved alice 1
		return until(func() bool { return fmt.Sprint(b.store.moved(words[1])) == words[2] })
	case "ended": // ? ended alice reason 1
		return until(func() bool { return fmt.Sprint(b.store.ended(words[1], words[2])) == words[3] })
	case "gone": // ? gone alice: none of its sessions is left
		return until(func() bool { return b.srv.Sessions(words[1]) == 0 })
	case "shutdown": // its sessions have been told
		go b.stop()
		return until(b.closing)
	}
	return fmt.Errorf("unknown check")
}

// closing reports whether the server has told its sessions that it goes down.
func (b *bed) closing() bool {
	us := b.srv.node.users
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.closed
}

// until polls a condition, because what it is about has no event; the time decides only how long a failure takes.
func until(cond func() bool) error {
	for end := time.Now().Add(stepTimeout); !cond(); {
		if time.Now().After(end) {
			return errors.New("does not come true")
		}
		<-time.After(2 * time.Millisecond)
	}
	return nil
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// silent reports whether the relay of user, who has one session, waits for nothing more from its client. It does so all
// the time until the end of the stream comes.
func (b *bed) silent(user string) bool {
	us := b.srv.node.users
	us.mu.Lock()
	defer us.mu.Unlock()
	for st := range us.byName[user].seats {
		st.relay.mu.Lock()
		defer st.relay.mu.Unlock()
		return !st.relay.halting.waits[clientSide]
	}
	return true
}
