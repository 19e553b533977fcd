package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pollInterval is how long a changed file may go unnoticed without SIGHUP.
	pollInterval = 10 * time.Second
	// maxFile is far above any real chain; more is a wrong path.
	maxFile = 1 << 20
)

// files serves a PEM chain and key that something else keeps fresh. A poll
// compares the contents, not time stamps: that sees a swapped symbolic link
// (Kubernetes secrets, certbot), a copy that keeps its time, and two writes
// within one tick of the file system's clock, for the price of two small reads.
type files struct {
	cert, key string
	log       *slog.Logger
	tick      <-chan time.Time

	pair atomic.Pointer[pair] // what is served

	mu      sync.Mutex // one reload at a time
	problem atomic.Pointer[string]
}

// pair is a usable certificate with the bytes that it was made from.
type pair struct {
	certPEM, keyPEM []byte
	cert            *tls.Certificate
}

func newFiles(cfg Config, log *slog.Logger, tick <-chan time.Time) (*files, error) {
	f := &files{cert: cfg.Cert, key: cfg.Key, log: log, tick: tick}
	p, err := f.load()
	if err != nil {
		return nil, err
	}
	f.take(p)
	return f, nil
}

func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.pair.Load().cert, nil
}

func (f *files) info() []Info {
	info := describe(ModeFiles, f.pair.Load().cert.Leaf)
	if problem := f.problem.Load(); problem != nil {
		info.Problem = *problem
	}
	return []Info{info}
}

func (*files) ready(context.Context) error { return nil }

func (f *files) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.load()
	if err != nil {
		err = fmt.Errorf("keep the certificate valid until %s: %w",
			f.pair.Load().cert.Leaf.NotAfter.Format(time.RFC3339), err)
		text := err.Error()
		f.problem.Store(&text)
		return err
	}
	f.problem.Store(nil)
	if old := f.pair.Load(); !bytes.Equal(old.certPEM, p.certPEM) || !bytes.Equal(old.keyPEM, p.keyPEM) {
		f.take(p)
	}
	return nil
}

// background reloads when the files have changed. A problem that stays the
// same is logged once: writers that replace two files leave a mismatch for a
// moment, and one that forgot the key leaves it for days.
func (f *files) background(ctx context.Context) {
	var logged string
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.tick:
		}
		err := f.reload()
		switch {
		case err == nil:
			logged = ""
		case err.Error() != logged:
			logged = err.Error()
			f.log.Error("certificate not reloaded", "error", err)
		}
	}
}

func (*files) close() {}

// take serves p from the next handshake on.
func (f *files) take(p *pair) {
	f.pair.Store(p)
	leaf := p.cert.Leaf
	f.log.Info("certificate loaded", "names", describe(ModeFiles, leaf).Names, "not_after", leaf.NotAfter)
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		f.log.Warn("certificate has expired; clients will refuse it: put a new one in place", "file", f.cert, "not_after", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		f.log.Warn("certificate is not valid yet; check the clock, or put the right one in place", "file", f.cert, "not_before", leaf.NotBefore)
	}
	if mustStaple(leaf) {
		f.log.Warn("certificate demands OCSP stapling, which is not offered; some clients will refuse it: order one without must-staple", "file", f.cert)
	}
}

func (f *files) load() (*pair, error) {
	certPEM, err := readFile("tls.cert", f.cert)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readFile("tls.key", f.key)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(certPEM)
	if err != nil {
		return nil, fmt.Errorf("tls.cert: %s: %w", f.cert, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("tls.key: %s: %w", f.key, err)
	}
	if err := matchKey(chain, key); err != nil {
		return nil, fmt.Errorf("tls.cert: %s, tls.key: %s: %w", f.cert, f.key, err)
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &pair{certPEM, keyPEM, cert}, nil
}

// readFile reads a small regular file; reading a pipe would never end.
func readFile(key, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(key, path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s: not a regular file; give the path of a PEM file", key, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fileError(key, path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fileError(key, path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %s: larger than %d bytes; give the path of a PEM file", key, path, maxFile)
	}
	return data, nil
}

func fileError(key, path string, err error) error {
	// The path stands in front already.
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %s: %w; put the PEM file there, or correct the path", key, path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %s: %w; let the user that imapferry runs as read it", key, path, err)
	}
	return fmt.Errorf("%s: %s: %w", key, path, err)
}
