package migrate

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/internal/wire"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// pipe is the floor: FETCH on one side, MULTIAPPEND on the other, or one APPEND behind the other, no check of anything.
type pipe struct {
	ctx      context.Context
	way      way
	src, dst string
	conns    int
}

func (p *pipe) close() {}

func (p *pipe) copy() error {
	folders := make(chan string, 20)
	folders <- "INBOX"
	for i := 1; i < 20; i++ {
		folders <- fmt.Sprintf("Bulk %02d", i)
	}
	close(folders)
	g, ctx := errgroup.WithContext(p.ctx)
	for range p.conns {
		g.Go(func() error { return p.lane(ctx, folders) })
	}
	return g.Wait()
}

func (p *pipe) lane(ctx context.Context, folders <-chan string) error {
	src, err := newPlain(ctx, p.way, p.src)
	if err != nil {
		return err
	}
	defer src.conn.Close()
	dst, err := newPlain(ctx, p.way, p.dst)
	if err != nil {
		return err
	}
	defer dst.conn.Close()
	for f := range folders {
		if f != "INBOX" {
			if err := dst.do(`CREATE "` + f + `"`); err != nil {
				return err
			}
		}
		if err := src.do(`EXAMINE "` + f + `"`); err != nil {
			return err
		}
		if err := p.folder(src, dst, f); err != nil {
			return err
		}
	}
	return nil
}

// folder pipes one folder in batches of the same size as the engine's.
func (p *pipe) folder(src, dst *plain, f string) error {
	if err := src.send("a UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])"); err != nil {
		return err
	}
	open, size, owed := false, int64(0), 0
	end := func(left int) (err error) { // of the command, and of waiting for all answers but so many
		if open {
			dst.w.WriteString("\r\n")
			owed++
		}
		for open, size = false, 0; owed > left && err == nil; owed-- {
			err = dst.await("a")
		}
		return err
	}
	for {
		line, err := src.r.Line(1 << 20)
		if err != nil {
			return err
		}
		if line[0] == 'a' {
			return end(0)
		}
		lit, _, ok := wire.ParseLiteral(line)
		if !ok {
			continue
		}
		if !open {
			fmt.Fprintf(dst.w, "a APPEND \"%s\"", f)
			open = true
		}
		flags := between(string(line), "FLAGS (", ")")
		fmt.Fprintf(dst.w, " (%s) \"%s\" {%d+}\r\n", strings.ReplaceAll(flags, `\Recent`, ""), between(string(line), `INTERNALDATE "`, `"`), lit.Size)
		if _, err := io.Copy(dst.w, src.r.Literal(lit.Size)); err != nil {
			return err
		}
		if _, err := src.r.Line(1 << 20); err != nil {
			return err
		}
		size += lit.Size
		switch {
		case p.way.singly && owed < flightWindow:
			err = end(flightWindow)
		case p.way.singly:
			err = end(flightWindow / 2)
		case size > batchBytes:
			err = end(0)
		}
		if err != nil {
			return err
		}
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// plain is a connection without any care.
type plain struct {
	conn net.Conn
	r    *wire.Reader
	w    *bufio.Writer
}

func newPlain(ctx context.Context, way way, addr string) (*plain, error) {
	dial := new(net.Dialer).DialContext
	if way.tls {
		dial = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &plain{conn, wire.NewReader(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)}
	if _, err := p.r.Line(1 << 16); err != nil {
		return nil, err
	}
	return p, p.do("LOGIN alice pass")
}

func (p *plain) send(line string) error {
	p.w.WriteString(line + "\r\n")
	return p.w.Flush()
}

func (p *plain) do(command string) error {
	if err := p.send("a " + command); err != nil {
		return err
	}
	return p.await("a")
}

func (p *plain) await(tag string) error {
	if err := p.w.Flush(); err != nil {
		return err
	}
	for {
		line, err := p.r.Line(1 << 20)
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(line), tag+" ") {
			if !strings.HasPrefix(string(line), tag+" OK") {
				return fmt.Errorf("refused: %s", line)
			}
			return nil
		}
	}
}

// backup is Dovecot's own tool, run on the target.
type backup struct {
	ctx context.Context
	dst *testbed.Dovecot
}

func (t *backup) close() {}

func (t *backup) copy() error {
	_, err := t.dst.Doveadm(t.ctx, "-o", "imapc_user=alice", "-o", "imapc_password=pass", "-o", "imapc_master_user=", "backup", "-u", "alice", "-R", "imapc:")
	return err
}

// mbsync copies from server to server.
type mbsync struct {
	ctx  context.Context
	conf string
}

func newMbsync(ctx context.Context, b *testing.B, way way, addrs, certs []string) trial {
	var conf strings.Builder
	for i, addr := range addrs {
		ssl := "SSLType None"
		if way.tls {
			ssl = "SSLType IMAPS\nCertificateFile " + certs[i]
		}
		fmt.Fprintf(&conf, "IMAPAccount a%d\nHost localhost\nPort %d\nUser alice\nPass pass\n%s\nPipelineDepth 50\n\nIMAPStore s%d\nAccount a%d\n\n", i, portOf(addr), ssl, i, i)
	}
	fmt.Fprintf(&conf, "Channel c\nFar :s0:\nNear :s1:\nPatterns *\nCreate Near\nExpunge Near\nSync Pull\nCopyArrivalDate yes\nSyncState %s/\n", b.TempDir())
	path := filepath.Join(b.TempDir(), "mbsyncrc")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return &mbsync{ctx, path}
}

func (t *mbsync) close() {}

func (t *mbsync) copy() error {
	out, err := exec.CommandContext(t.ctx, "mbsync", "-q", "-c", t.conf, "-a").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// ferry is a worker without its cutover. Each pass is a lease of its own, with its own connections, as the other tools have.
type ferry struct {
	ctx    context.Context
	engine *Engine
	store  *boltstate.Store
}

func newFerry(ctx context.Context, b *testing.B, way way, from string, dst *testbed.Dovecot, to string) trial {
	store, err := boltstate.Open(filepath.Join(b.TempDir(), "state.db"), boltstate.Options{})
	if err != nil {
		b.Fatal(err)
	}
	endpoint := func(name, addr string) *backend.Backend {
		cfg := backend.Defaults()
		cfg.URL = "imap://" + addr
		if way.tls {
			cfg.URL, cfg.TLSInsecure = "imaps://"+addr, true
		}
		e, err := backend.New(name, cfg)
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	engine, err := New(Config{
		Settings: DefaultSettings(), Source: endpoint("source", from), Target: endpoint("target", to), Store: store, Owner: "bench",
		TargetSettings: TargetSettings{Adapter: "dovecot", DoveadmURL: dst.DoveadmURL(), DoveadmAPIKey: backend.Secret(dst.APIKey)},
		Log:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.Offer(ctx, "alice"); err != nil {
		b.Fatal(err)
	}
	return &ferry{ctx, engine, store}
}

func (t *ferry) close() { t.store.Close() }

// copy does all that a worker does up to the cutover: for the first time also the copy, and always a round that
// proves UIDs, flags and dates.
func (t *ferry) copy() error {
	w, err := leasedWorker(t.ctx, t.engine, t.store)
	if err != nil {
		return err
	}
	defer w.closeLanes()
	for w.rec.Phase != state.Tailing {
		next, _, err := steps[w.rec.Phase](w, t.ctx)
		if err != nil {
			return err
		}
		if err := w.advance(t.ctx, next, state.Change{}); err != nil {
			return err
		}
	}
	if err := w.begin(t.ctx); err != nil {
		return err
	}
	if _, err := w.round(t.ctx); err != nil {
		return err
	}
	return t.store.Release(t.ctx, w.held())
}
