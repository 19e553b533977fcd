package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CurlTransfer is one of the transfers that a run of curl makes.
type CurlTransfer struct {
	Path    string // of the URL: mailbox, and ;UID= or a query behind it
	Request string // command instead of the usual one for the path
	Upload  string // message that is appended to the mailbox
}

// CurlResult tells how a run of curl went.
type CurlResult struct {
	ExitCode int
	Output   string // what the transfers brought, one behind the other
	Errors   string
}

// Curl makes all transfers in one run, which takes one connection for them, and stops at the first that fails.
func Curl(ctx context.Context, addr, user, pass, dir string, transfers []CurlTransfer, opts ...DialOption) (CurlResult, error) {
	var r CurlResult
	bin, err := binary("curl")
	if err != nil {
		return r, err
	}
	conf, err := curlConf(addr, user, pass, dir, transfers, opts)
	if err != nil {
		return r, fmt.Errorf("curl: %w", err)
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, bin, "--disable", "--config", conf)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
	err = cmd.Run()
	r.ExitCode, r.Output, r.Errors = cmd.ProcessState.ExitCode(), out.String(), complaints.String()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return r, fmt.Errorf("curl: %w", err)
	}
	return r, nil
}

// curlConf writes the configuration file and the messages, and returns the file's path.
func curlConf(addr, user, pass, dir string, transfers []CurlTransfer, opts []DialOption) (string, error) {
	name, port, err := host(addr)
	if err != nil {
		return "", err
	}
	var how dialing
	for _, opt := range opts {
		opt(&how)
	}
	url, secure := "imap", ""
	if how.caFile != "" {
		url, secure = "imaps", fmt.Sprintf("cacert = %q\n", how.caFile)
	}
	var conf strings.Builder
	for i, t := range transfers {
		if i > 0 {
			conf.WriteString("next\n")
		}
		fmt.Fprintf(&conf, "fail-early\nsilent\nshow-error\nuser = %q\n%surl = \"%s://%s:%s/%s\"\n",
			user+":"+pass, secure, url, name, port, t.Path)
		if t.Request != "" {
			fmt.Fprintf(&conf, "request = %q\n", t.Request)
		}
		if t.Upload == "" {
			continue
		}
		file := filepath.Join(dir, fmt.Sprintf("upload%d", i))
		if err := os.WriteFile(file, []byte(t.Upload), 0o600); err != nil {
			return "", err
		}
		fmt.Fprintf(&conf, "upload-file = %q\n", file)
	}
	path := filepath.Join(dir, "curlrc") // it holds the password
	return path, os.WriteFile(path, []byte(conf.String()), 0o600)
}
