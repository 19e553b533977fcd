package tls

import (
	"bytes"
	"crypto/x509/pkix"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// logBuffer takes a log that a goroutine writes and the test reads.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// fixture is a server in mode files whose polls the test makes.
type fixture struct {
	*Certificates
	dir, cert, key, addr string
	log                  *logBuffer
	tick                 chan time.Time
}

// poll has the files compared, and returns after that: the second tick is only
// taken when the first has been dealt with. It is one more poll of the same.
func (f *fixture) poll() {
	f.tick <- time.Time{}
	f.tick <- time.Time{}
}

func serveFiles(t *testing.T, first issued) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{
		dir:  dir,
		cert: write(t, dir, "chain.pem", first.certPEM),
		key:  write(t, dir, "key.pem", first.keyPEM),
		log:  &logBuffer{},
		tick: make(chan time.Time),
	}
	f.serve(t)
	return f
}

func (f *fixture) serve(t *testing.T) {
	t.Helper()
	src, err := newFiles(Config{Mode: ModeFiles, Cert: f.cert, Key: f.key}, slog.New(slog.NewTextHandler(f.log, nil)), f.tick)
	if err != nil {
		t.Fatal(err)
	}
	f.Certificates = serve(t.Context(), src)
	t.Cleanup(f.Close)
	f.addr = listen(t, f.ServerConfig())
}

func (f *fixture) wantServed(t *testing.T, want issued) {
	t.Helper()
	if got := served(t, f.addr); !got.Equal(want.leaf) {
		t.Errorf("served %s valid until %s; want %s until %s", got.DNSNames, got.NotAfter, want.leaf.DNSNames, want.leaf.NotAfter)
	}
}

func TestReload(t *testing.T) {
	before, after := issue(t, "before.example", valid()), issue(t, "after.example", valid())
	f := serveFiles(t, before)
	f.wantServed(t, before)
	write(t, f.dir, "chain.pem", after.certPEM)
	write(t, f.dir, "key.pem", after.keyPEM)
	f.wantServed(t, before)
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	f.wantServed(t, after)
	want := Info{Source: ModeFiles, Names: []string{"after.example"}, Issuer: "CN=after.example", NotBefore: after.leaf.NotBefore, NotAfter: after.leaf.NotAfter}
	if got := f.Info(); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("Info() = %v; want %v", got, want)
	}
}

// TestPollKeepsTime: a copy that keeps size and time (cp -p, rsync) is noticed.
func TestPollKeepsTime(t *testing.T) {
	before, after := issue(t, "before.example", valid()), issue(t, "afterr.example", valid())
	f := serveFiles(t, before)
	info, err := os.Stat(f.cert)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.dir, "chain.pem", after.certPEM)
	write(t, f.dir, "key.pem", after.keyPEM)
	if err := os.Chtimes(f.cert, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	f.poll()
	f.wantServed(t, after)
}

// TestPollSymlinkSwap swaps a folder the way Kubernetes does it with secrets:
// the path of the files goes through a link that is replaced in one step.
func TestPollSymlinkSwap(t *testing.T) {
	before, after := issue(t, "before.example", valid()), issue(t, "after.example", valid())
	dir := t.TempDir()
	for name, files := range map[string]issued{"one": before, "two": after} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "chain.pem", files.certPEM)
		write(t, filepath.Join(dir, name), "key.pem", files.keyPEM)
	}
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	f := &fixture{cert: filepath.Join(dir, "data", "chain.pem"), key: filepath.Join(dir, "data", "key.pem"), log: &logBuffer{}, tick: make(chan time.Time)}
	f.serve(t)
	f.wantServed(t, before)
	link("two")
	f.poll()
	f.wantServed(t, after)
}

// TestBrokenReload: whatever lies there, the old certificate stays, Reload and
// Info say so, polls log it once, and the next good files are taken.
func TestBrokenReload(t *testing.T) {
	before, after := issue(t, "before.example", valid()), issue(t, "after.example", valid())
	tests := []struct {
		name  string
		spoil func(*testing.T, *fixture)
		want  string
	}{
		{"half the pair", func(t *testing.T, f *fixture) { write(t, f.dir, "chain.pem", after.certPEM) }, "belongs to another certificate"},
		{"garbage", func(t *testing.T, f *fixture) { write(t, f.dir, "chain.pem", []byte("garbage")) }, "no PEM certificate"},
		{"cut short", func(t *testing.T, f *fixture) { write(t, f.dir, "key.pem", before.keyPEM[:40]) }, "no PEM private key"},
		{"empty", func(t *testing.T, f *fixture) { write(t, f.dir, "key.pem", nil) }, "no PEM private key"},
		{"gone", func(t *testing.T, f *fixture) {
			if err := os.Remove(f.key); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := serveFiles(t, before)
			test.spoil(t, f)
			err := f.Reload()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "keep the certificate") {
				t.Fatalf("Reload() = %v; want %q in it and that the old one is kept", err, test.want)
			}
			f.poll()
			f.wantServed(t, before)
			if problem := f.Info()[0].Problem; problem != err.Error() {
				t.Errorf("problem = %q; want %q", problem, err)
			}
			if n := strings.Count(f.log.String(), "certificate not reloaded"); n != 1 {
				t.Errorf("two polls logged %d times; want once", n)
			}
			write(t, f.dir, "chain.pem", after.certPEM)
			write(t, f.dir, "key.pem", after.keyPEM)
			f.poll()
			f.wantServed(t, after)
			if problem := f.Info()[0].Problem; problem != "" {
				t.Errorf("problem = %q after it was mended", problem)
			}
		})
	}
}

// TestUnusableFiles: New tells which file, and what to do (I9).
func TestUnusableFiles(t *testing.T) {
	good, other := issue(t, "good.example", valid()), issue(t, "other.example", valid())
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := write(t, dir, "cert.pem", good.certPEM), write(t, dir, "key.pem", good.keyPEM)
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	tests := []struct {
		name, cert, key string
		want            []string
	}{
		{"no certificate file", filepath.Join(dir, "none"), key, []string{"tls.cert: " + dir, "no such file", "correct the path"}},
		{"no key file", cert, filepath.Join(dir, "none"), []string{"tls.key: " + dir, "no such file"}},
		{"a folder", dir, key, []string{"tls.cert: " + dir, "not a regular file"}},
		{"a pipe", cert, pipe, []string{"tls.key: " + pipe, "not a regular file"}},
		{"far too large", write(t, dir, "large", make([]byte, maxFile+1)), key, []string{"tls.cert: ", "larger than"}},
		{"swapped", key, cert, []string{"tls.cert: " + key, "are cert and key swapped?"}},
		{"certificate as key", cert, cert, []string{"tls.key: " + cert, "are cert and key swapped?"}},
		{"key of another certificate", cert, write(t, dir, "other.key", other.keyPEM), []string{"tls.cert: " + cert, "tls.key: " + dir, "belongs to another certificate"}},
		{"chain in the wrong order", write(t, dir, "order.pem", append(other.certPEM, good.certPEM...)), key, []string{"belongs to certificate 2 of the chain", "first"}},
		{"encrypted key", cert, write(t, dir, "enc.key", []byte(encrypted)), []string{"tls.key: ", "encrypted", "openssl pkey"}},
		{"broken certificate", write(t, dir, "bad.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), key, []string{"tls.cert: ", "certificate 1 of the chain"}},
		{"broken key", cert, write(t, dir, "bad.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")), []string{"tls.key: ", "read rsa private key"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(t.Context(), Config{Mode: ModeFiles, Cert: test.cert, Key: test.key}, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("New accepted it")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New() = %v; want %q in it", err, want)
				}
			}
		})
	}
}

// TestFileError: root may read everything, so the refusal is made up.
func TestFileError(t *testing.T) {
	err := fileError("tls.key", "/etc/key.pem", &fs.PathError{Op: "open", Path: "/etc/key.pem", Err: syscall.EACCES})
	if got, want := err.Error(), "tls.key: /etc/key.pem: permission denied; let the user that imapferry runs as read it"; got != want {
		t.Errorf("fileError = %q; want %q", got, want)
	}
}

// TestDoubtfulCertificates are served, because clients may accept what we
// doubt, and warned about.
func TestDoubtfulCertificates(t *testing.T) {
	staple := pkix.Extension{Id: tlsFeature, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}}
	tests := []struct {
		name string
		cert issued
		want string
	}{
		{"expired", issue(t, "a.example", time.Now().Add(-time.Hour)), "certificate has expired"},
		{"not valid yet", issue(t, "a.example", time.Now().Add(72*time.Hour)), "certificate is not valid yet"},
		{"must staple", issue(t, "a.example", valid(), staple), "certificate demands OCSP stapling"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := serveFiles(t, test.cert)
			f.wantServed(t, test.cert)
			if !strings.Contains(f.log.String(), "level=WARN msg=\""+test.want) {
				t.Errorf("log = %s; want %q", f.log, test.want)
			}
		})
	}
}
