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
	client         *peer
	backends       map[byte]*peer
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
		backends: map[byte]*peer{}, down: map[string]bool{}, loginTime: loginTime,
	}
	b.source.ForwardClient, b.target.ForwardClient = "none", "none"
	b.sourceL, b.targL = listen(t), listen(t)
	b.backends['P'] = &peer{accept: b.sourceL}
	b.backends['Q'] = &peer{accept: b.targL}
	b.backends['B'], b.backends['D'] = b.backends['P'], b.backends['Q']
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
	case "folder": // @ folder alice INBOX uidvalidity targetuidvalidity
		var f state.Folder
		if _, err := fmt.Sscan(strings.Join(words[2:], " "), &f.Name, &f.UIDValidity, &f.TargetUIDValidity); err != nil {
			return err
		}
		b.store.folders[words[1]] = append(b.store.folders[words[1]], f)
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
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.srv.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	b.t.Cleanup(func() {
		for _, p := range append([]*peer{b.client}, b.backends['P'], b.backends['Q']) {
			if p != nil && p.conn != nil {
				p.conn.Close()
			}
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
	case "store-fails":
		b.store.fail(true)
		return nil
	case "shutdown":
		go b.stop()
		return nil
	}
	return fmt.Errorf("unknown check")
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
