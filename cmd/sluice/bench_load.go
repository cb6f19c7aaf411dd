package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// loadConnections is how many senders share the input.
const loadConnections = 4

// loadSyslog sends the file over several connections, a part each.
func loadSyslog(ctx context.Context, port int, input string, _ int) error {
	return eachPart(input, func(part *io.SectionReader) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address(port))
		if err != nil {
			return err
		}
		defer c.Close()
		// Without the wrapper the connection would take the file by sendfile,
		// which no syslog sender does.
		_, err = io.CopyBuffer(struct{ io.Writer }{c}, part, make([]byte, 64<<10))
		return err
	})
}

// httpBatch is how many events go in one request.
const httpBatch = 100

// loadHTTP posts the file's lines as JSON. A request that is not answered with
// success is sent again.
func loadHTTP(ctx context.Context, port int, input string, _ int) error {
	return eachPart(input, func(part *io.SectionReader) error {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
		defer client.CloseIdleConnections()
		lines := bufio.NewReaderSize(part, 256<<10)
		var body []byte
		for {
			var n int
			var err error
			body, n, err = jsonEvents(body[:0], lines)
			if n > 0 {
				if err := post(ctx, client, "http://"+address(port)+"/", body); err != nil {
					return err
				}
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

// jsonEvents appends up to httpBatch lines as Flume's JSON events.
func jsonEvents(dst []byte, lines *bufio.Reader) ([]byte, int, error) {
	dst = append(dst, '[')
	for n := range httpBatch {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return append(dst, ']'), n, err
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"headers":{"h":"a"},"body":`...)
		dst = strconv.AppendQuote(dst, string(line[:len(line)-1])) // the lines are plain ASCII
		dst = append(dst, '}')
	}
	return append(dst, ']'), httpBatch, nil
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		res, err := client.Do(r)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode/100 == 2:
			return nil
		case res.StatusCode != http.StatusServiceUnavailable:
			return fmt.Errorf("answered %s", res.Status)
		}
	}
}

// eachPart cuts the file at line ends into as many parts as there are
// connections, and runs fn for all at the same time.
func eachPart(path string, fn func(*io.SectionReader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	errs := make(chan error, loadConnections)
	from := int64(0)
	for i := range loadConnections {
		to, err := lineEnd(f, info.Size()*int64(i+1)/loadConnections, info.Size())
		if err != nil {
			return err
		}
		part := io.NewSectionReader(f, from, to-from)
		go func() { errs <- fn(part) }()
		from = to
	}
	var all []error
	for range loadConnections {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// lineEnd is the first place at or behind at that lies behind a line end.
func lineEnd(f *os.File, at, size int64) (int64, error) {
	if at >= size {
		return size, nil
	}
	line, err := bufio.NewReader(io.NewSectionReader(f, at, size-at)).ReadSlice('\n')
	if err != nil && err != io.EOF {
		return 0, err
	}
	return at + int64(len(line)), nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort is one that nobody has taken a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
