package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of looking up aliases.
const (
	aliasTimeout = 5 * time.Second
	aliasTTL     = time.Minute // how long an answer is believed
	aliasCache   = 10000       // answers
	aliasBody    = 1 << 10     // bytes of an answer
)

type normaliser func(string) (string, error)

// aliasFile is a file with lines "alias canonical"; # begins a comment.
type aliasFile struct {
	path   string
	normal normaliser
	table  atomic.Pointer[map[string]string]
}

func (a *aliasFile) resolve(_ context.Context, name string) (string, error) {
	if canonical, ok := (*a.table.Load())[name]; ok {
		return canonical, nil
	}
	return name, nil
}

func (a *aliasFile) reload() error {
	f, err := os.Open(a.path)
	if err != nil {
		return err
	}
	defer f.Close()
	table := map[string]string{}
	lines := map[string]int{}
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		if err := a.line(in.Text(), n, table, lines); err != nil {
			return fmt.Errorf("%s:%d: %w", a.path, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	for alias, canonical := range table {
		if next, ok := table[canonical]; ok && next != canonical { // would depend on how often one looks
			return fmt.Errorf("%s:%d: %q is itself an alias (line %d)", a.path, lines[alias], canonical, lines[canonical])
		}
	}
	a.table.Store(&table)
	return nil
}

func (a *aliasFile) line(text string, n int, table map[string]string, lines map[string]int) error {
	text, _, _ = strings.Cut(text, "#")
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil
	}
	if len(fields) != 2 {
		return fmt.Errorf("want %q, found %d words", "alias canonical", len(fields))
	}
	alias, err := a.normal(fields[0])
	if err != nil {
		return err
	}
	canonical, err := a.normal(fields[1])
	if err != nil {
		return err
	}
	if old, ok := table[alias]; ok && old != canonical {
		return fmt.Errorf("%q already stands for %q (line %d)", alias, old, lines[alias])
	}
	table[alias], lines[alias] = canonical, n
	return nil
}

// aliasURL asks a server: GET url?user=name. 200 answers with the canonical name as text, 404 means that the name
// stands for itself.
type aliasURL struct {
	url    *url.URL
	normal normaliser
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]answer // guarded by mu
}

type answer struct {
	name  string
	until time.Time
}

func newAliasURL(raw string, normal normaliser) (*aliasURL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("not a URL with a host") // without its text, which may hold a password (I8)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 16
	return &aliasURL{
		url: u, normal: normal, now: time.Now, known: map[string]answer{},
		client: &http.Client{Timeout: aliasTimeout, Transport: transport},
	}, nil
}

func (a *aliasURL) reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.known)
	return nil
}

func (a *aliasURL) resolve(ctx context.Context, name string) (string, error) {
	a.mu.Lock()
	known, ok := a.known[name]
	a.mu.Unlock()
	if ok && a.now().Before(known.until) {
		return known.name, nil
	}
	canonical, err := a.ask(ctx, name)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= aliasCache {
		clear(a.known) // rare, and asking again is all it costs
	}
	a.known[name] = answer{canonical, a.now().Add(aliasTTL)}
	return canonical, nil
}

func (a *aliasURL) ask(ctx context.Context, name string) (string, error) {
	u := *a.url
	query := u.Query()
	query.Set("user", name)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, whose query may hold a token (I8)
		}
		return "", fmt.Errorf("%s: %w", a.url.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, aliasBody+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", a.url.Host, err)
	case resp.StatusCode == http.StatusNotFound:
		return name, nil
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s: status %s", a.url.Host, resp.Status)
	case len(body) > aliasBody:
		return "", fmt.Errorf("%s: answer over %d bytes", a.url.Host, aliasBody)
	}
	canonical, err := a.normal(strings.TrimSpace(string(body)))
	if err != nil {
		return "", fmt.Errorf("%s: answer is unusable: %v", a.url.Host, err) // not ErrName: the client's name may be right
	}
	return canonical, nil
}
