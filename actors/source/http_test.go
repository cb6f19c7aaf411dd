package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
	"github.com/sluicehq/sluice/persistence/record"
)

// client makes one connection per request, so that none is left behind.
func client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// ask sends one request to src; headers are "Name: value".
func ask(ctx context.Context, src source.Source, method, path, body string, headers ...string) (status int, text string, err error) {
	addr, err := addrOf(ctx, src)
	if err != nil {
		return 0, "", err
	}
	if !strings.Contains(path, "://") {
		path = "http://" + addr.String() + path
	}
	request, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	answer, err := client().Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(all), err
}

func TestHTTP(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{Kind: "http", Place: func(*testing.T) sourcetest.Place {
		return sourcetest.Place{Settings: settings(), Feed: func(ctx context.Context, src source.Source, first, n int) error {
			for i := first; i < first+n; i += 25 {
				var events []string
				for k := i; k < min(i+25, first+n); k++ {
					events = append(events, fmt.Sprintf(`{"body":%q}`, sourcetest.Line(k)))
				}
				for {
					status, text, err := ask(ctx, src, "POST", "/", "["+strings.Join(events, ",")+"]")
					if err != nil {
						return err
					}
					if status == 200 {
						break
					}
					if status != 503 {
						return fmt.Errorf("status %d: %s", status, text)
					}
				}
			}
			return nil
		}}
	}})
}

func TestHTTPAnswersAsFlumeDoes(t *testing.T) {
	var out sourcetest.Out
	src, env := running(t, "http", &out)
	for _, c := range []struct {
		method, body, header string
		status               int
	}{
		{"POST", `[{"body":"x"}]`, "", 200},
		{"POST", `[]`, "", 200},
		{"GET", `[{"body":"by get"}]`, "", 200},
		{"GET", ``, "", 500},
		{"POST", ``, "", 500},
		{"POST", `null`, "", 500},
		{"POST", `[null]`, "", 500},
		{"POST", `{}`, "", 400},
		{"POST", `not json`, "", 400},
		{"POST", `[{"headers":{"a":[]}}]`, "", 400},
		{"POST", `[{"body":"x"}]`, "Content-Type: application/json; charset=iso-8859-1", 500},
		{"POST", `[{"body":"ü"}]`, "Content-Type: text/plain", 200},
		{"POST", "\x00[\x00]", "Content-Type: application/json; charset=utf-16", 200},
		{"POST", "\xff\xfe[\x00{\x00b\x00o\x00d\x00y\x00:\x00\xe9\x00}\x00]\x00", "Content-Type: application/json; charset=UTF-16", 200},
		{"PUT", `[]`, "", 405},
		{"DELETE", ``, "", 405},
		{"OPTIONS", ``, "", 403},
		{"TRACE", ``, "", 403},
		{"POST", `[]`, "Content-Encoding: br", 415},
		{"POST", `no gzip`, "Content-Encoding: gzip", 400},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		status, text, err := ask(t.Context(), src, c.method, "/any/path", c.body, headers...)
		if err != nil || status != c.status {
			t.Errorf("%s %q %s: got %d %q, %v, want %d", c.method, c.body, c.header, status, text, err, c.status)
		}
		if status == 200 && text != "" {
			t.Errorf("%s %q: a body with 200: %q", c.method, c.body, text)
		}
	}
	if got, want := out.Bodies(), []string{"x", "by get", "ü", "é"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := env.Counters.GenericProcessingFail.Load(); n != 5 {
		t.Errorf("%d processing failures counted", n)
	}
}

func TestHTTPWithFlumesDefectsKeepsTheRequestsCharacterSet(t *testing.T) {
	var out sourcetest.Out
	env := sourcetest.Env(t)
	env.Compat = true
	src := sourcetest.New(t, "http", settings(), env)
	sourcetest.Start(t, src, &out)
	for _, c := range []struct{ body, header, want string }{
		{`[{"body":"ü"}]`, "Content-Type: text/plain", "Ã¼"},
		{`[{"body":"ü"}]`, "Content-Type: application/json", "ü"},
		{"\x00[\x00{\x00b\x00o\x00d\x00y\x00:\x00\xe9\x00}\x00]", "Content-Type: a/b; charset=utf-16", "\xfe\xff\x00\xe9"},
	} {
		if status, text, err := ask(t.Context(), src, "POST", "/", c.body, c.header); status != 200 {
			t.Fatalf("%q: %d %s %v", c.body, status, text, err)
		}
		bodies := out.Bodies()
		if got := bodies[len(bodies)-1]; got != c.want {
			t.Errorf("%s: got %q, want %q", c.header, got, c.want)
		}
	}
}

func TestHTTPBoundsARequest(t *testing.T) {
	var out sourcetest.Out
	src, _ := running(t, "http", &out, "maxRequestBytes", "1000")
	big := `[{"body":"` + strings.Repeat("x", 2000) + `"}]`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, big)
	z.Close()
	small := `[{"body":"small"}]`
	var fits bytes.Buffer
	z = gzip.NewWriter(&fits)
	_, _ = io.WriteString(z, small)
	z.Close()
	for _, c := range []struct {
		body    string
		headers []string
		status  int
	}{
		{big, nil, 413},
		{packed.String(), []string{"Content-Encoding: gzip"}, 413},
		{small, nil, 200},
		{fits.String(), []string{"Content-Encoding: gzip"}, 200},
	} {
		if status, text, err := ask(t.Context(), src, "POST", "/", c.body, c.headers...); status != c.status || err != nil {
			t.Errorf("%d bytes %v: got %d %q, %v, want %d", len(c.body), c.headers, status, text, err, c.status)
		}
	}
	chunked := func(body string) string {
		conn := dial(t, src)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		answer := make([]byte, 12)
		_, _ = io.ReadFull(conn, answer)
		return string(answer)
	}
	if got := chunked(big); got != "HTTP/1.1 413" {
		t.Errorf("chunked, too large: %q", got)
	}
	if got := chunked(small); got != "HTTP/1.1 200" {
		t.Errorf("chunked: %q", got)
	}
	if got, want := out.Bodies(), []string{"small", "small", "small"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestHTTPAnswers503WhileTheChannelIsFull(t *testing.T) {
	var out sourcetest.Out
	out.SetFull(true)
	src, _ := running(t, "http", &out)
	if status, _, err := ask(t.Context(), src, "POST", "/", `[{"body":"x"}]`); status != 503 {
		t.Fatalf("full: got %d, %v", status, err)
	}
	out.SetFull(false)
	if status, _, err := ask(t.Context(), src, "POST", "/", `[{"body":"x"}]`); status != 200 {
		t.Fatalf("no longer full: got %d, %v", status, err)
	}
	if out.Len() != 1 {
		t.Errorf("%d records", out.Len())
	}
}

// tooLarge is a channel smaller than any batch.
type tooLarge struct{ sourcetest.Out }

func (*tooLarge) Store(_ context.Context, batch *record.Slab) error {
	batch.Release()
	return fmt.Errorf("channel c1: %w", channel.ErrTooLarge)
}

// A client that is told 503 would send the same again for ever.
func TestHTTPAnswers413WhenARequestNeverFitsTheChannel(t *testing.T) {
	src := sourcetest.New(t, "http", settings(), sourcetest.Env(t))
	sourcetest.Start(t, src, new(tooLarge))
	if status, text, err := ask(t.Context(), src, "POST", "/", `[{},{}]`); status != 413 || !strings.Contains(text, "c1") {
		t.Fatalf("got %d %q, %v", status, text, err)
	}
}

func TestBlobHandlerMakesOneRecordOfARequest(t *testing.T) {
	var out sourcetest.Out
	src, _ := running(t, "http", &out, "handler", "org.apache.flume.source.http.BLOBHandler",
		"handler.mandatoryParameters", "basepath, filename", "handler.maxBlobLength", "100")
	if status, _, _ := ask(t.Context(), src, "POST", "/?basepath=/a", "x"); status != 500 {
		t.Errorf("a parameter is missing: got %d", status)
	}
	if status, _, _ := ask(t.Context(), src, "POST", "/?basepath=/a&filename=f", strings.Repeat("x", 101)); status != 413 {
		t.Errorf("too large: got %d", status)
	}
	if status, text, _ := ask(t.Context(), src, "POST", "/?basepath=/a&filename=f%20g&filename=h", "a\nb\x00"); status != 200 {
		t.Fatalf("got %d %s", status, text)
	}
	got := out.Records()
	if len(got) != 1 || got[0].Body != "a\nb\x00" || fmt.Sprint(got[0].Headers) != "map[basepath:/a filename:f g]" {
		t.Errorf("got %q", got)
	}
}

// pemFile writes a certificate for 127.0.0.1 with its key.
func pemFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestListenersSpeakTLS(t *testing.T) {
	keys := pemFile(t)
	var out sourcetest.Out
	src, _ := running(t, "http", &out, "ssl", "true", "keystore", keys)
	addr, err := addrOf(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := ask(t.Context(), src, "POST", "https://"+addr.String(), `[{"body":"x"}]`); status != 200 {
		t.Errorf("https: got %d, %v", status, err)
	}

	src, _ = running(t, "syslogtcp", &out, "ssl", "TRUE", "keystore", keys, "exclude-protocols", "SSLv3 TLSv1.3")
	if addr, err = addrOf(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("an excluded version was accepted")
	}
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, message(1))
	conn.Close()
	if got := out.WaitRecords(t, 2)[1].Body; got != "record 000001" {
		t.Errorf("syslog over TLS: got %q", got)
	}
}
