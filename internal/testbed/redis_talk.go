package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Do sends a command as the default user and returns the answer: a string, an
// int64, a list ([]any) or nil.
func (r *Redis) Do(args ...string) (any, error) {
	conn, err := net.DialTimeout("tcp", r.Addr(), startWithin)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startWithin)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	if r.Options.Password != "" {
		if _, err := ask(conn, in, "AUTH", r.Options.Password); err != nil {
			return nil, err
		}
	}
	return ask(conn, in, args...)
}

func ask(out io.Writer, in *bufio.Reader, args ...string) (any, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return nil, err
	}
	v, err := answer(in)
	if err != nil {
		return nil, fmt.Errorf("redis: %s: %w", args[0], err)
	}
	return v, nil
}

// answer reads a value of RESP2.
func answer(in *bufio.Reader) (any, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("an empty line")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || kind == ':' {
		return n, err
	}
	if n < 0 {
		return nil, nil
	}
	if kind == '$' {
		text := make([]byte, n+2)
		_, err := io.ReadFull(in, text)
		return string(text[:n]), err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = answer(in); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// info returns the fields of a section of INFO, or of another command that
// answers in its way.
func (r *Redis) info(command ...string) (map[string]string, error) {
	v, err := r.Do(command...)
	if err != nil {
		return nil, err
	}
	text, _ := v.(string)
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// until asks again until ok, or for as long as servers may take to agree.
func until(what string, ok func() (bool, error)) error {
	for end := time.Now().Add(agreeWithin); ; time.Sleep(pollEvery) {
		done, err := ok()
		if done {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %s in vain until %s (%v)", agreeWithin, what, err)
		}
	}
}
