package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// least is a configuration in which nothing is missing.
const least = `
[tls]
mode = "self-signed"
[source]
url = "imaps://old.example:993"
[target]
url = "imaps://new.example:993"
`

// configure loads text with an environment. The file's folder stands for DIR in both.
func configure(t *testing.T, text string, environ ...string) (*config, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"pw": "from a file\n", "crlf": "from a file\r\n", "empty": "\n", "two": "one\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "ferry.toml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range environ {
		environ[i] = strings.ReplaceAll(environ[i], "DIR", dir)
	}
	cfg, err := loadConfig(path, environ)
	return cfg, dir, err
}

func TestConfigDefaults(t *testing.T) {
	cfg, _, err := configure(t, least)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.TLS.Mode, want.Source.URL, want.Target.URL = "self-signed", "imaps://old.example:993", "imaps://new.example:993"
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("loaded\n%+v; want the defaults\n%+v", cfg, want)
	}
}

// Bad input gets a clear error (I9): the place, the key, what is wrong and what to do, and all errors at once.
func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name, text string
		environ    []string
		want       []string
	}{
		{"empty file", "", nil, []string{
			"ferry.toml:1: tls.acme.email: ", "ferry.toml:1: tls.acme.domains: missing",
			"ferry.toml:1: source.url: missing; give the server as imaps://host:993", "ferry.toml:1: target.url: missing",
		}},
		{"no TOML", "[listen]\nimaps = \n", nil, []string{"ferry.toml:2: "}},
		{"twice", "[auth]\nprove = \"route\"\nprove = \"source\"\n", nil, []string{"ferry.toml:3: "}},
		{"unknown key", least + "[auth]\nprov = \"route\"", nil, []string{"ferry.toml:9: auth.prov: unknown key; did you mean auth.prove?"}},
		{"unknown section", least + "[lissten]\nimap = []", nil, []string{"ferry.toml:8: lissten: unknown key; did you mean listen?"}},
		{"nothing near", least + "[auth]\nkerberos = true", nil, []string{"ferry.toml:9: auth.kerberos: unknown key; remove it (known in [auth]: prove)"}},
		{"wrong section", least + "[auth]\nhold_budget = \"1s\"", nil, []string{"ferry.toml:9: auth.hold_budget: unknown key; did you mean migrate.hold_budget?"}},
		{"no section", "mode = \"files\"\n" + least, nil, []string{"ferry.toml:1: mode: unknown key; did you mean tls.mode?"}},
		{"wrong kinds", least + "[migrate]\nworkers = \"4\"\nhold_budget = 3\non_login = \"yes\"\nonly = \"alice\"\nallow = [1]\ncutover = 1", nil, []string{
			"ferry.toml:9: migrate.workers: is a string; want a whole number",
			"ferry.toml:10: migrate.hold_budget: is a number; want a duration in quotes, such as \"3s\"",
			"ferry.toml:11: migrate.on_login: is a string; want true or false",
			"ferry.toml:12: migrate.only: is a string; want a list of strings, such as [\"a\", \"b\"]",
			"ferry.toml:13: migrate.allow: element 1: is a number; want a string in quotes",
			"ferry.toml:14: migrate.cutover: is a number; want a string in quotes",
		}},
		{"duration", least + "[migrate]\nhold_budget = \"3 s\"", nil, []string{"ferry.toml:9: migrate.hold_budget: \"3 s\" is no duration; write it as"}},
		{"section is a value", least + "[auth.prove]\nx = 1", nil, []string{"ferry.toml:8: auth.prove: is a section; want a string in quotes"}},
		{"value is a section", "source = 1\n[tls]\nmode = \"self-signed\"\n[target]\nurl = \"imap://b\"", nil, []string{"ferry.toml:1: source: is a section; write it as [source]", "ferry.toml:1: source.url: missing"}},
		{"inline table", "tls = { mode = \"self-signed\", cart = \"x\" }\n[source]\nurl = \"imap://a\"\n[target]\nurl = \"imap://b\"", nil,
			[]string{"ferry.toml:1: tls.cart: unknown key; did you mean tls.cert?"}},
		{"addresses", least + "[listen]\nimaps = [\"993\"]\nimap = [\"host:imap\"]\nadmin = \"unix:admin.sock\"\nproxy_protocol_from = [\"10.0.0.1\"]", nil, []string{
			"ferry.toml:9: listen.imaps: \"993\" is no address; write it as host:port", "ferry.toml:10: listen.imap: \"host:imap\" is no address",
			"ferry.toml:11: listen.admin: \"unix:admin.sock\": give an absolute path", "ferry.toml:12: listen.proxy_protocol_from: \"10.0.0.1\" is no network; write it as",
		}},
		{"no listener", least + "[listen]\nimaps = []\nimap = []", nil, []string{"ferry.toml:9: listen.imaps: empty, and listen.imap too"}},
		{"state scheme", least + "[state]\nurl = \"mysql://u:s3cret@h\"", nil, []string{"ferry.toml:9: state.url: the scheme is not one of bolt, redis, rediss, redis+sentinel"}},
		{"state master", least + "[state]\nurl = \"redis+sentinel://u:s3cret@h\"", nil, []string{"ferry.toml:9: state.url: it does not name the master, as it stands in sentinel monitor; write it as redis+sentinel://"}},
		{"state unconfirmed", least + "[state]\nurl = \"redis+cluster://u:s3cret@h,i\"", nil, []string{"ferry.toml:8: state.confirm_replicas: is 0; a replica that is promoted would lack writes that counted"}},
		{"state confirmed by less", least + "[state]\nurl = \"redis://h\"\nconfirm_replicas = -1", nil, []string{"ferry.toml:10: state.confirm_replicas: is negative"}},
		{"state passwords", least + "[state]\nurl = \"redis://u:s3cret@h\"\npassword_file = \"DIR/pw\"", nil, []string{"ferry.toml:10: state.password: state.url has a password too; keep one"}},
		{"state authority", least + "[state]\nurl = \"rediss://h\"\ntls_ca = \"DIR/none\"", nil, []string{"ferry.toml:10: state.tls_ca: open "}},
		{"state plain", least + "[state]\nurl = \"redis://h\"\ntls_ca = \"DIR/pw\"", nil, []string{"ferry.toml:10: state.tls_ca: has no meaning without TLS; use a scheme with rediss"}},
		{"state file", least + "[state]\npassword = \"s3cret\"\ntls_ca = \"DIR/pw\"\nconfirm_replicas = 1", nil, []string{
			"ferry.toml:9: state.password: has no meaning while state.url is a file", "ferry.toml:10: state.tls_ca: has no meaning", "ferry.toml:11: state.confirm_replicas: has no meaning",
		}},
		{"state path", least + "[state]\nurl = \"bolt:/var/lib/\"", nil, []string{"ferry.toml:9: state.url: names no file"}},
		{"state host", least + "[state]\nurl = \"redis://:s3cret@/0\"", nil, []string{"ferry.toml:9: state.url: the url is malformed; write it as redis://user:password@host:6379/db"}},
		{"node ttl", least + "[state]\nnode_ttl = \"1s\"", nil, []string{"ferry.toml:9: state.node_ttl: 1s is not between 3s and 10m0s"}},
		{"prove", least + "[auth]\nprove = \"both\"", nil, []string{"ferry.toml:9: auth.prove: \"both\" is not one of route, source, target"}},
		{"users", least + "[users]\ndefault_domain = \"a b\"", nil, []string{"ferry.toml:9: users.default_domain: \"a b\" is not a domain"}},
		{"aliases", least + "[users]\naliases = \"DIR/none\"", nil, []string{"ferry.toml:9: users.aliases: open "}},
		{"cutover", least + "[migrate]\ncutover = \"lazy\"", nil, []string{"ferry.toml:9: migrate.cutover: \"lazy\" is not one of live, idle, manual"}},
		{"windows", least + "[migrate]\ncutover_windows = [\"22:00-05:00\", \"22-05\"]", nil, []string{"ferry.toml:9: migrate.cutover_windows: \"22-05\" is no time window; write it as in \"22:00-05:00\""}},
		{"windows by hand", least + "[migrate]\ncutover = \"manual\"\ncutover_windows = [\"22:00-05:00\"]", nil, []string{"ferry.toml:10: migrate.cutover_windows: has no meaning with cutover = \"manual\""}},
		{"same server", strings.ReplaceAll(least, "new", "old"), nil, []string{"ferry.toml:7: target.url: is the same as source.url"}},
		{"section of a package", strings.ReplaceAll(least, "new.example:993\"", "new.example:993\"\nlogin = \"master\""), nil,
			[]string{"ferry.toml:6: target.master_user: missing"}},
		{"environment", least, []string{"IMAPFERRY_MIGRATE_WORKERS=many", "IMAPFERRY_MIGRATE_WORKER=1", "IMAPFERRY_TLS_ACME_EMIAL=x", "IMAPFERRY_MIGRATE_ON_LOGIN=x"}, []string{
			"environment IMAPFERRY_MIGRATE_WORKERS: migrate.workers: want a whole number",
			"environment IMAPFERRY_MIGRATE_WORKER: migrate.worker: unknown key; did you mean migrate.workers?",
			"environment IMAPFERRY_TLS_ACME_EMIAL: ", "environment IMAPFERRY_MIGRATE_ON_LOGIN: migrate.on_login: want true or false",
		}},
		{"secret twice", least + "master_password = \"s3cret\"\nmaster_password_file = \"DIR/pw\"", nil,
			[]string{"ferry.toml:9: target.master_password_file: given together with target.master_password at "}},
		{"secret twice in environment", least, []string{"IMAPFERRY_SOURCE_MASTER_PASSWORD=s3cret", "IMAPFERRY_SOURCE_MASTER_PASSWORD_FILE=DIR/pw"},
			[]string{"environment IMAPFERRY_SOURCE_MASTER_PASSWORD_FILE: source.master_password_file: given together with"}},
		{"secret file", least + "master_password_file = \"DIR/none\"\ndoveadm_api_key_file = \"DIR/empty\"", nil, []string{
			"ferry.toml:8: target.master_password_file: read secret: open ", "ferry.toml:9: target.doveadm_api_key_file: read secret: ",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, dir, err := configure(t, test.text, test.environ...)
			if err == nil {
				t.Fatalf("loaded; want %q", test.want)
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "")
			for _, want := range test.want {
				if !strings.Contains("\n"+got, "\n"+want) {
					t.Errorf("got\n%s\nwant a line that begins with\n%s", got, want)
				}
			}
			if n := len(problemsOf(err)); n != len(test.want) {
				t.Errorf("got %d errors, want %d:\n%s", n, len(test.want), got)
			}
			if strings.Contains(got, "s3cret") {
				t.Errorf("the error shows a secret (I8):\n%s", got)
			}
		})
	}
}

func TestConfigLayers(t *testing.T) {
	secretText := least + "master_password_file = \"DIR/pw\"\ndoveadm_api_key_file = \"DIR/crlf\"\n[migrate]\nhold_budget = \"0m30s\"\nworkers = 2\n"
	_, _, stateErr := configure(t, secretText, "IMAPFERRY_MIGRATE_WORKERS=7", "IMAPFERRY_MIGRATE_VERIFY_BODIES=all", "IMAPFERRY_MIGRATE_ON_LOGIN=false",
		"IMAPFERRY_LISTEN_IMAP=127.0.0.1:1143, [::1]:1143", "IMAPFERRY_SOURCE_MASTER_PASSWORD=from the environment", "IMAPFERRY_TLS_ACME_HTTP_PORT=8080",
		"IMAPFERRY_STATE_URL_FILE=DIR/pw", "IMAPFERRY_SOURCE_USER=", "IMAPFERRY_ADMIN=127.0.0.1:1", "IMAPFERRY_PORT=tcp://10.0.0.1:993")
	if stateErr == nil || !strings.Contains(stateErr.Error(), "environment IMAPFERRY_STATE_URL_FILE: state.url: ") || len(problemsOf(stateErr)) != 1 {
		t.Fatalf("error %v; want one about state.url", stateErr)
	}
	cfg, _, err := configure(t, secretText, "IMAPFERRY_MIGRATE_WORKERS=7", "IMAPFERRY_MIGRATE_ON_LOGIN=false", "IMAPFERRY_MIGRATE_VERIFY_BODIES=all",
		"IMAPFERRY_LISTEN_IMAP=127.0.0.1:1143, [::1]:1143", "IMAPFERRY_SOURCE_MASTER_PASSWORD=from the environment", "IMAPFERRY_TLS_ACME_HTTP_PORT=8080",
		"IMAPFERRY_TARGET_DOVEADM_API_KEY_FILE=DIR/two", "IMAPFERRY_SOURCE_USER=")
	if err != nil {
		t.Fatal(err)
	}
	checks := []struct {
		key       string
		got, want any
	}{
		{"migrate.hold_budget", cfg.Migrate.HoldBudget, 30 * time.Second},
		{"migrate.workers", cfg.Migrate.Workers, 7},
		{"migrate.on_login", cfg.Migrate.OnLogin, false},
		{"migrate.verify_bodies", string(cfg.Migrate.VerifyBodies), "all"},
		{"listen.imap", cfg.Listen.IMAP, []string{"127.0.0.1:1143", "[::1]:1143"}},
		{"tls.acme.http_port", cfg.TLS.ACME.HTTPPort, 8080},
		{"source.user", cfg.Source.User, "{user}"},
		{"source.master_password", string(cfg.Source.MasterPassword), "from the environment"},
		{"target.master_password", string(cfg.Target.MasterPassword), "from a file"},
		{"target.doveadm_api_key", string(cfg.Target.DoveadmAPIKey), "one\n"},
	}
	for _, c := range checks {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s = %#v; want %#v", c.key, c.got, c.want)
		}
	}
}

// The sample file shows every key with its default, as operators take it for the documentation.
func TestSampleHasEveryDefault(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "imapferry.toml")
	required := []string{"IMAPFERRY_TLS_ACME_EMAIL=postmaster@example.org", "IMAPFERRY_TLS_ACME_DOMAINS=imap.example.org",
		"IMAPFERRY_SOURCE_URL=imaps://old.example", "IMAPFERRY_TARGET_URL=imaps://new.example"}
	cfg, err := loadConfig(path, required)
	if err != nil {
		t.Fatal(err)
	}
	want := keysOf(defaultConfig())
	for key, got := range keysOf(cfg) {
		switch key {
		case "tls.acme.email", "tls.acme.domains", "source.url", "target.url":
			continue
		}
		if got.Kind() == reflect.Slice && got.Len() == 0 && want[key].Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(got.Interface(), want[key].Interface()) {
			t.Errorf("%s: the sample gives another value than the default %v", key, want[key])
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parseDocument(path, text)
	if err != nil {
		t.Fatal(err)
	}
	for key := range want {
		if doc.sections[key] == 0 {
			t.Errorf("the sample does not show %s", key)
		}
	}
}

// Whatever a file holds, it is loaded or refused (I9).
func FuzzParseDocument(f *testing.F) {
	for _, seed := range []string{least, "", "a = ", "[a.\"b c\"]\nd.e = {f = [1, {g = 2}]}", "[[tls]]\nmode = 1\n[[tls]]", "tls.acme.email = 1\r\n", "\"\" = 1", "x = '''\n\n'''\n[auth]\nprove = 1979-05-27"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := parseDocument("f", text)
		if err != nil {
			return
		}
		cfg := defaultConfig()
		l := &loader{file: "f", cfg: cfg, keys: keysOf(cfg), places: map[string]string{}, lines: doc.sections}
		l.apply(doc.layer("f"))
		for _, s := range doc.settings {
			if s.line < 1 {
				t.Errorf("%s is on line %d", s.key, s.line)
			}
		}
	})
}
