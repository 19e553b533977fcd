package proxybench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

const caps = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS CONDSTORE AUTH=PLAIN"

// messages is how many are in every mailbox. Message n has n KiB.
const messages = 8192

// backend serves IMAP at the first two addresses, and at the third tells nginx that a login goes to the first.
func backend(args []string) error {
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return err
	}
	auth := fmt.Appendf(nil, "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: %s\r\nAuth-Port: %s\r\n\r\n", host, port)
	ended := make(chan error)
	for i, addr := range args {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		serve := serveIMAP
		if i == 2 {
			serve = func(conn net.Conn) { answerHTTP(conn, auth) }
		}
		go acceptAll(l, serve, ended)
	}
	return <-ended
}

func acceptAll(l net.Listener, serve func(net.Conn), ended chan<- error) {
	for {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		go serve(conn)
	}
}

func answerHTTP(conn net.Conn, answer []byte) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 1024)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(bytes.TrimSpace(line)) == 0 {
			_, _ = conn.Write(answer) // who is gone needs none
			return
		}
	}
}

func serveIMAP(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 16<<10)
	say := func(text string) bool {
		_, err := io.WriteString(conn, text)
		return err == nil
	}
	if !say("* OK [CAPABILITY " + caps + "] ready\r\n") {
		return
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		name, args, _ := strings.Cut(rest, " ")
		name = strings.ToUpper(name)
		if !takeLiterals(r, rest, say) {
			return
		}
		ok := true
		switch name {
		case "IDLE":
			ok = say("+ idling\r\n") && skipLine(r)
		case "AUTHENTICATE":
			if !strings.Contains(args, " ") {
				ok = say("+ \r\n") && skipLine(r)
			}
		case "FETCH":
			n, _, _ := strings.Cut(args, " ")
			_, err := conn.Write(message(n))
			ok = err == nil
		}
		if !ok || !say(answer(tag, name)) || name == "LOGOUT" {
			return
		}
	}
}

// takeLiterals reads what follows the first line of a command.
func takeLiterals(r *bufio.Reader, line string, say func(string) bool) bool {
	for strings.HasSuffix(line, "}") {
		size, now := strings.CutSuffix(line[strings.LastIndexByte(line, '{')+1:len(line)-1], "+")
		n, _ := strconv.Atoi(size)
		if !now && !say("+ go on\r\n") {
			return false
		}
		if _, err := r.Discard(n); err != nil {
			return false
		}
		next, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		line = strings.TrimRight(string(next), "\r\n")
	}
	return true
}

func skipLine(r *bufio.Reader) bool {
	_, err := r.ReadSlice('\n')
	return err == nil
}

// answer is what a command gets at its end, with what it says before that.
func answer(tag, name string) string {
	switch name {
	case "LOGIN", "AUTHENTICATE":
		return tag + " OK [CAPABILITY " + caps + "] logged in\r\n"
	case "CAPABILITY":
		return "* CAPABILITY " + caps + "\r\n" + tag + " OK done\r\n"
	case "ID":
		return "* ID NIL\r\n" + tag + " OK done\r\n"
	case "SELECT":
		return fmt.Sprintf("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] valid\r\n* OK [UIDNEXT %d] next\r\n%s OK [READ-WRITE] done\r\n",
			messages, messages+1, tag)
	case "APPEND":
		return fmt.Sprintf("%s OK [APPENDUID 1 %d] done\r\n", tag, messages)
	case "LOGOUT":
		return "* BYE until next time\r\n" + tag + " OK done\r\n"
	}
	return tag + " OK done\r\n"
}

var fetched sync.Map // answers by message number

// message is the untagged answer to a FETCH of a message.
func message(number string) []byte {
	if m, ok := fetched.Load(number); ok {
		return m.([]byte)
	}
	n, _ := strconv.Atoi(number)
	m := fmt.Appendf(nil, "* %s FETCH (BODY[] {%d}\r\n", number, n<<10)
	m = append(append(m, bytes.Repeat([]byte("0123456789abcdef"), n<<6)...), ")\r\n"...)
	fetched.Store(number, m)
	return m
}
