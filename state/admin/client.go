package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"imapferry/state"
)

// Errors of a Client, wrapped.
var (
	ErrNotFound    = errors.New("not found")                   // the user is not known
	ErrRefused     = errors.New("refused")                     // the request is wrong, or the user's phase does not allow it
	ErrUnreachable = errors.New("imapferry cannot be reached") // nobody answers, or not as imapferry does
	ErrStore       = errors.New("imapferry cannot serve this now")
)

const (
	answerLimit = 16 << 20         // bytes of an answer; a full page is far below
	callTimeout = 15 * time.Second // more than the server's own patience
)

// Client asks a running node.
type Client struct {
	addr string // as given, for errors
	base string
	http http.Client
}

// NewClient returns a client for addr: http://host:port, host:port or unix:/path. It does not connect.
func NewClient(addr string) (*Client, error) {
	transport := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: time.Minute} // no proxy: this is never meant for one
	c := &Client{addr: addr, http: http.Client{Transport: transport, Timeout: callTimeout}}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if path, isSocket := strings.CutPrefix(addr, socketPrefix); isSocket {
		if path == "" {
			return nil, fmt.Errorf("admin address %q: a path is missing", addr)
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		c.base = "http://imapferry"
		return c, nil
	}
	if !strings.Contains(addr, "://") {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("admin address %q: must be http://host:port, host:port or unix:/path", addr)
		}
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("admin address %q: must be http://host:port, host:port or unix:/path", c.addr)
	}
	c.base = strings.TrimSuffix(addr, "/")
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// User returns a user, or ErrNotFound.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	return ask[User](ctx, c, http.MethodGet, userPath(name, ""))
}

// Cutover lets a user be switched as soon as both sides are equal, whatever the cutover policy says. It returns ErrRefused for users who
// are held, and for those on the target.
func (c *Client) Cutover(ctx context.Context, name string) (User, error) {
	return ask[User](ctx, c, http.MethodPost, userPath(name, "/cutover"))
}

// Migrate makes a user known.
func (c *Client) Migrate(ctx context.Context, name string) (User, error) {
	return ask[User](ctx, c, http.MethodPost, userPath(name, "/migrate"))
}

// Retry takes a user out of held or makes the next try due now. Of a migrated user that is the next straggler pass.
// It returns ErrRefused if the user is finalized.
func (c *Client) Retry(ctx context.Context, name string) (User, error) {
	return ask[User](ctx, c, http.MethodPost, userPath(name, "/retry"))
}

// RetryPark is Retry that lets mail of unknown origin in the target be moved aside.
func (c *Client) RetryPark(ctx context.Context, name string) (User, error) {
	return ask[User](ctx, c, http.MethodPost, userPath(name, "/retry?park=true"))
}

// Finalize ends all work on a migrated user. It returns ErrRefused if mail may be left in the source, unless force.
func (c *Client) Finalize(ctx context.Context, name string, force bool) (User, error) {
	return ask[User](ctx, c, http.MethodPost, userPath(name, "/finalize?force="+strconv.FormatBool(force)))
}

// Forget takes a node off the roster that is gone for good. It returns ErrRefused while the node may be alive.
func (c *Client) Forget(ctx context.Context, node string) (Forgotten, error) {
	return ask[Forgotten](ctx, c, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/forget")
}

// Users returns a page of users after the name after; phase 0 means all, limit 0 the server's choice.
func (c *Client) Users(ctx context.Context, phase state.Phase, after string, limit int) (Page, error) {
	q := url.Values{}
	if phase != 0 {
		q.Set("phase", phase.String())
	}
	if after != "" {
		q.Set("after", after)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return ask[Page](ctx, c, http.MethodGet, "/v1/users?"+q.Encode())
}

// Status returns the state of the whole.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status")
}

// Verify compares source and target of a user, and gives each line of the answer to each, until there is no more or
// each returns an error, which is returned. A comparison that could not be ended is an error, too.
func (c *Client) Verify(ctx context.Context, name string, ask VerifyRequest, each func(line json.RawMessage) error) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+userPath(name, "/verify"), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask imapferry: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	patient := c.http
	patient.Timeout = 0 // it takes as long as it takes; ctx ends it
	resp, err := patient.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
		return c.refusal(resp.StatusCode, text)
	}
	return c.lines(resp.Body, each)
}

// lines reads a stream to its end. One that ends without its last chunk was cut off.
func (c *Client) lines(r io.Reader, each func(json.RawMessage) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, answerLimit)
	for in.Scan() {
		var f failure
		if err := json.Unmarshal(in.Bytes(), &f); err != nil {
			return c.unreachable(fmt.Errorf("the answer is not imapferry's: %w", err))
		}
		if f.Error != "" {
			return &refused{kind: ErrStore, text: f.Error}
		}
		if err := each(bytes.Clone(in.Bytes())); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.addr, err)
	}
	return nil
}

// userPath escapes name whole, dots too: a path element of dots alone would be taken for a place.
func userPath(name, act string) string {
	return "/v1/users/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E") + act
}

// ask sends one request and reads the answer into a T.
func ask[T any](ctx context.Context, c *Client, method, path string) (answer T, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return answer, fmt.Errorf("ask imapferry: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, c.unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return answer, c.unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		return answer, c.refusal(resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, c.unreachable(fmt.Errorf("the answer is not imapferry's: %w", err))
	}
	return answer, nil
}

// unreachable says what to do.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without method and URL, which tell the operator nothing
	}
	return fmt.Errorf("%w at %s: %w (is `imapferry serve` running, and is this its [listen] admin address?)", ErrUnreachable, c.addr, err)
}

// refusal turns an error that the server answered into one of the client's.
func (c *Client) refusal(status int, body []byte) error {
	var f failure
	if err := json.Unmarshal(body, &f); err != nil || f.Error == "" {
		return c.unreachable(fmt.Errorf("somebody else answers there: %s", http.StatusText(status)))
	}
	kind := ErrStore
	switch {
	case status == http.StatusNotFound:
		kind = ErrNotFound
	case status < http.StatusInternalServerError:
		kind = ErrRefused
	}
	return &refused{kind: kind, text: f.Error}
}

// refused is an error in the server's words that is of a kind.
type refused struct {
	kind error
	text string
}

func (r *refused) Error() string { return r.text }
func (r *refused) Unwrap() error { return r.kind }
