package redisstate

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// location is what a URL says of where Redis is and how to enter it.
type location struct {
	kind     kind
	tls      bool
	hosts    []string // host:port, of the server, of Sentinels, or of some of a Cluster
	master   string   // what the Sentinels call it
	db       int
	user     string
	password string

	sentinelUser, sentinelPassword string

	name string // the URL without secrets
}

// kind is how many servers there are, and who says which of them takes writes.
type kind int

const (
	standalone kind = iota + 1
	sentinel
	cluster
)

// form is how URLs of a scheme look.
type form struct {
	kind kind
	tls  bool
	port string // where none is given
	want string
}

var forms = map[string]form{
	"redis":           {standalone, false, "6379", "redis://user:password@host:6379/db"},
	"rediss":          {standalone, true, "6379", "rediss://user:password@host:6379/db"},
	"redis+sentinel":  {sentinel, false, "26379", "redis+sentinel://user:password@host1:26379,host2:26379/master/db"},
	"rediss+sentinel": {sentinel, true, "26379", "rediss+sentinel://user:password@host1:26379,host2:26379/master/db"},
	"redis+cluster":   {cluster, false, "6379", "redis+cluster://user:password@host1:6379,host2:6379"},
	"rediss+cluster":  {cluster, true, "6379", "rediss+cluster://user:password@host1:6379,host2:6379"},
}

// parse reads a URL. No error contains what may be a part of a password (I8).
func parse(rawURL string) (location, error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	f, ok := forms[scheme]
	if !ok {
		return location{}, errors.New("the scheme is not one of redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster")
	}
	malformed := fmt.Errorf("the url is malformed; write it as %s, with special characters of the password as %%XX", f.want)
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if strings.Contains(tail, "@") {
		return location{}, malformed // what was taken for hosts is a part of the password
	}
	info, list := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		info, list = authority[:i+1], authority[i+1:]
	}
	l := location{kind: f.kind, tls: f.tls}
	for part := range strings.SplitSeq(list, ",") {
		addr, ok := address(part, f.port)
		if !ok {
			return location{}, malformed
		}
		l.hosts = append(l.hosts, addr)
	}
	u, err := url.Parse(scheme + "://" + info + "host" + tail) // net/url takes one host alone
	if err != nil || u.Fragment != "" {
		return location{}, malformed
	}
	l.user = u.User.Username()
	l.password, _ = u.User.Password()
	l.name = scheme + "://" + list + u.EscapedPath()
	if err := l.read(u); err != nil {
		return location{}, fmt.Errorf("%w; write it as %s", err, f.want)
	}
	return l, nil
}

// read takes over path and parameters.
func (l *location) read(u *url.URL) error {
	path := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
	switch {
	case l.kind == standalone && len(l.hosts) > 1:
		return errors.New("it names several hosts, which is for redis+sentinel and redis+cluster")
	case l.kind == cluster && len(path) > 0:
		return errors.New("a Cluster has no databases to choose from")
	case l.kind == sentinel && len(path) == 0:
		return errors.New("it does not name the master, as it stands in sentinel monitor")
	case l.kind == sentinel:
		l.master, path = path[0], path[1:]
	}
	if len(path) > 0 {
		n, err := strconv.ParseUint(path[0], 10, 16)
		if err != nil || len(path) > 1 {
			return errors.New("the path is no number of a database")
		}
		l.db = int(n)
	}
	for key, values := range u.Query() {
		switch {
		case l.kind == sentinel && key == "sentinel_user":
			l.sentinelUser = values[0]
		case l.kind == sentinel && key == "sentinel_password":
			l.sentinelPassword = values[0]
		default:
			return fmt.Errorf("the parameter %s is not known", key)
		}
	}
	return nil
}

// address completes host, host:port, [v6] or [v6]:port.
func address(s, port string) (addr string, ok bool) {
	if bare := strings.TrimSuffix(s, "]"); bare != s || !strings.Contains(s, ":") {
		s = net.JoinHostPort(strings.TrimPrefix(bare, "["), port)
	}
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return s, err == nil && portErr == nil && n > 0 && host != "" && !strings.ContainsAny(host, " @/\\\"'")
}
