package source_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// The keystores in testdata were written by keytool and openssl.
func TestJavasKeystoresAreRead(t *testing.T) {
	for _, name := range []string{"java.p12", "java.jks", "openssl.p12", "old.p12"} {
		t.Run(name, func(t *testing.T) {
			var out sourcetest.Out
			src, _ := running(t, "syslogtcp", &out, "ssl", "true", "keystore", "testdata/keystores/"+name, "keystore-password", "changeit")
			addr, err := addrOf(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			if cn := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "localhost" {
				t.Errorf("the certificate is of %q", cn)
			}
			fmt.Fprintln(conn, message(1))
			conn.Close()
			out.WaitRecords(t, 1)
		})
	}
}

func TestAKeystoreThatCannotBeReadSaysWhy(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		kv   []string
		want string
	}{
		{nil, "keystore"},
		{[]string{"keystore", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"keystore", "testdata/keystores/java.jks", "keystore-password", "wrong"}, "password is wrong"},
		{[]string{"keystore", "testdata/keystores/java.p12", "keystore-password", "wrong"}, "password is wrong"},
		{[]string{"keystore", "testdata/keystores/old.p12"}, "password is wrong"},
		{[]string{"keystore", write("a.jks", "\xfe\xed\xfe\xed\x00\x00\x00\x02\xff\xff\xff\xff")}, "damaged"},
		{[]string{"keystore", write("b.jks", "\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x00")}, "no private key"},
		{[]string{"keystore", write("a.p12", "\x30\x82\x00")}, "no PKCS12"},
		{[]string{"keystore", write("a.txt", "hello")}, "neither PEM"},
		{[]string{"keystore", pemFile(t), "include-protocols", "TLSv1"}, "TLSv1.2"},
	} {
		_, err := source.New(topologies.SettingsOf(kinds.Source, "syslogtcp", settings(append(c.kv, "ssl", "true")...)), sourcetest.Env(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error with %q", c.kv, err, c.want)
		}
	}
}
