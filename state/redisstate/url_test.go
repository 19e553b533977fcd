package redisstate

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		url  string
		want location
	}{
		{"redis://h", location{kind: standalone, hosts: []string{"h:6379"}, name: "redis://h"}},
		{"redis://h:1/", location{kind: standalone, hosts: []string{"h:1"}, name: "redis://h:1/"}},
		{"redis://:p%40%2F%3A@h:1/3", location{kind: standalone, hosts: []string{"h:1"}, db: 3, password: "p@/:", name: "redis://h:1/3"}},
		{"rediss://u:p@[::1]", location{kind: standalone, tls: true, hosts: []string{"[::1]:6379"}, user: "u", password: "p", name: "rediss://[::1]"}},
		{"redis+sentinel://u:p@a,b:7,[fe80::1]:8/m/2?sentinel_user=su&sentinel_password=s%26p", location{
			kind: sentinel, hosts: []string{"a:26379", "b:7", "[fe80::1]:8"}, master: "m", db: 2, user: "u", password: "p",
			sentinelUser: "su", sentinelPassword: "s&p", name: "redis+sentinel://a,b:7,[fe80::1]:8/m/2"}},
		{"rediss+sentinel://a/m", location{kind: sentinel, tls: true, hosts: []string{"a:26379"}, master: "m", name: "rediss+sentinel://a/m"}},
		{"redis+cluster://u:p@a:1,b:2", location{kind: cluster, hosts: []string{"a:1", "b:2"}, user: "u", password: "p", name: "redis+cluster://a:1,b:2"}},
		{"rediss+cluster://a/", location{kind: cluster, tls: true, hosts: []string{"a:6379"}, name: "rediss+cluster://a/"}},
	} {
		if got, err := parse(c.url); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s is\n%+v, %v; want\n%+v", c.url, got, err, c.want)
		}
	}
}

// No error about a URL shows what may be a part of a password (I8), also if it was not escaped.
func TestParseRefuses(t *testing.T) {
	const malformed = "malformed; write it as redis://user:password@host:6379/db, with special characters of the password as %XX"
	for _, c := range []struct{ url, says string }{
		{"", "the scheme is not one of redis, "},
		{"bolt:/s3cret", "the scheme is not one of"},
		{"redis:s3cret", "the scheme is not one of"},
		{"redis://", malformed},
		{"redis://:s3cret@/0", malformed},
		{"redis://u:s3cret%zz@h/0", malformed},
		{"redis://u:s3cret@h:port/0", malformed},
		{"redis://u:s3cret@h:0/0", malformed},
		{"redis://u:s3c/ret@h/0", malformed},
		{"redis://u:12/s3cret@h/0", malformed},
		{"redis://u:s3c?ret@h/0", malformed},
		{"redis://u:s3c#ret@h/0", malformed},
		{"redis://u:s3cret@h#x", malformed},
		{"redis://u:s3cret@h/db", "the path is no number of a database; write it as redis://"},
		{"redis://u:s3cret@h/0/1", "the path is no number of a database"},
		{"redis://u:s3cret@h/-1", "the path is no number of a database"},
		{"redis://u:s3cret@a,b/0", "names several hosts, which is for redis+sentinel and redis+cluster"},
		{"redis://u:s3cret@h/0?max_retries=3", "the parameter max_retries is not known"},
		{"redis://u:s3cret@h/0?sentinel_password=s3cret", "the parameter sentinel_password is not known"},
		{"redis+sentinel://u:s3cret@a,b", "does not name the master, as it stands in sentinel monitor; write it as redis+sentinel://user:password@host1:26379,host2:26379/master/db"},
		{"redis+sentinel://u:s3cret@a,/m", "malformed; write it as redis+sentinel://"},
		{"redis+sentinel://u:s3cret@a/m/x", "the path is no number of a database"},
		{"redis+cluster://u:s3cret@a,b/1", "a Cluster has no databases to choose from; write it as redis+cluster://user:password@host1:6379,host2:6379"},
	} {
		_, err := parse(c.url)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: %v; want %q", c.url, err, c.says)
		}
	}
}

// Whatever is configured, it is read or refused (I9), and what is read can be named without its secrets.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"redis://u:p@h:1/0", "redis+sentinel://a,b/m?sentinel_user=x", "rediss+cluster://[::1],b", "redis://%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		l, err := parse(url)
		if err == nil && (len(l.hosts) == 0 || strings.Contains(l.name, "@") || strings.Contains(l.name, "?")) {
			t.Errorf("%q is %+v", url, l)
		}
	})
}
