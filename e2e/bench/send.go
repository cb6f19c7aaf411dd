package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// split cuts text into n parts of about the same size, each of whole lines.
func split(text []byte, n int) [][]byte {
	var parts [][]byte
	for left := n; left > 1 && len(text) > 0; left-- {
		at := len(text) / left
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		parts = append(parts, text[:at+end+1])
		text = text[at+end+1:]
	}
	return append(parts, text)
}

// inParallel gives every part to its own goroutine and joins their errors.
func inParallel(parts [][]byte, send func(part []byte) error) error {
	results := make(chan error)
	for _, part := range parts {
		go func() { results <- send(part) }()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// syslogWrite is the size of one write to a socket.
const syslogWrite = 64 << 10

func runSendSyslog(args []string) error {
	f := flags("send-syslog")
	connections := f.Int("connections", 4, "how many at once")
	_ = f.Parse(args)
	if f.NArg() != 2 {
		return errors.New("want an address and a file")
	}
	text, err := os.ReadFile(f.Arg(1))
	if err != nil {
		return err
	}
	return sendSyslog(f.Arg(0), text, *connections)
}

func sendSyslog(address string, text []byte, connections int) error {
	return inParallel(split(text, connections), func(part []byte) error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		for len(part) > 0 {
			n, err := c.Write(part[:min(syslogWrite, len(part))])
			if err != nil {
				return err
			}
			part = part[n:]
		}
		// The receiver reads to the end before the connection is torn down.
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(closeWait))
		_, err = io.Copy(io.Discard, c)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			err = nil // this receiver keeps connections that were half closed
		}
		return err
	})
}

const (
	// closeWait bounds the wait for a receiver to end a finished connection.
	closeWait = 2 * time.Second
	// giveUp is how long a batch is sent again before the run counts as failed.
	giveUp = 2 * time.Minute
)

func runSendHTTP(args []string) error {
	f := flags("send-http")
	connections := f.Int("connections", 4, "how many at once")
	events := f.Int("events", 100, "in one request")
	form := f.String("form", "flume", "of a request: flume or otlp")
	_ = f.Parse(args)
	if f.NArg() != 2 || *events < 1 {
		return errors.New("want a URL and a file")
	}
	text, err := os.ReadFile(f.Arg(1))
	if err != nil {
		return err
	}
	return sendHTTP(f.Arg(0), text, *connections, *events, *form)
}

func sendHTTP(url string, text []byte, connections, events int, form string) error {
	begin, end, between := requestForm(form)
	if begin == nil {
		return fmt.Errorf("%q is no form of requests", form)
	}
	return inParallel(split(text, connections), func(part []byte) error {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: giveUp}
		defer client.CloseIdleConnections()
		var body []byte
		for len(part) > 0 {
			body = append(body[:0], begin.open...)
			for i := 0; i < events && len(part) > 0; i++ {
				if i > 0 {
					body = append(body, between...)
				}
				var line []byte
				line, part, _ = bytes.Cut(part, []byte{'\n'})
				body = append(body, begin.each...)
				body = appendJSON(body, line)
				body = append(body, end.each...)
			}
			body = append(body, end.open...)
			if err := post(client, url, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// form is what stands around a request and around each event in it.
type form struct{ open, each []byte }

func requestForm(name string) (begin, end *form, between []byte) {
	switch name {
	case "flume":
		return &form{[]byte("["), []byte(`{"headers":{"h":"a"},"body":`)}, &form{[]byte("]"), []byte("}")}, []byte(",")
	case "otlp":
		return &form{[]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[`), []byte(`{"attributes":[{"key":"h","value":{"stringValue":"a"}}],"body":{"stringValue":`)},
			&form{[]byte(`]}]}]}`), []byte("}}")}, []byte(",")
	}
	return nil, nil, nil
}

// appendJSON writes printable text as a JSON string.
func appendJSON(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, strconv.FormatInt(int64(c>>4), 16)...)
			dst = append(dst, strconv.FormatInt(int64(c&15), 16)...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// post sends body until it is answered with success.
func post(client *http.Client, url string, body []byte) error {
	pause := 10 * time.Millisecond
	for begun := time.Now(); ; {
		response, err := client.Post(url, "application/json", bytes.NewReader(body))
		status := ""
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode/100 == 2 {
				return nil
			}
			status = response.Status
		}
		if time.Since(begun) > giveUp {
			return fmt.Errorf("post to %s: %s %v", url, status, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, time.Second)
	}
}
