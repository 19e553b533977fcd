package testbed

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// greets reports whether the server at addr says so of its own accord.
func greets(ctx context.Context, addr, want string) error {
	return converse(ctx, addr, "", func(line string) bool { return strings.HasPrefix(line, want) })
}

// takes reports whether something listens at addr.
func takes(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// answersPing takes any answer for readiness but the one of a Redis that still
// reads its files; one that wants a password says so.
func answersPing(ctx context.Context, addr string) error {
	return converse(ctx, addr, "PING\r\n", func(line string) bool {
		return line != "" && !strings.HasPrefix(line, "-LOADING")
	})
}

func converse(ctx context.Context, addr, say string, accept func(line string) bool) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startWithin)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(say)); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
	if err != nil {
		return err
	}
	if !accept(line) {
		return fmt.Errorf("%s answered %q", addr, line)
	}
	return nil
}
