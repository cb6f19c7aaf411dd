package source

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf16"
)

// loadKeystore reads a private key with its certificates from a PEM file, a
// PKCS12 keystore or a JKS keystore, whichever the file is.
func loadKeystore(path, password string) (tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	var certificate tls.Certificate
	switch {
	case bytes.HasPrefix(text, []byte{0xfe, 0xed, 0xfe, 0xed}):
		certificate, err = readJKS(text, password)
	case bytes.HasPrefix(text, []byte{0x30}):
		certificate, err = readPKCS12(text, password)
	default:
		if block, _ := pem.Decode(text); block == nil {
			err = errors.New("is neither PEM nor PKCS12 nor JKS")
			break
		}
		certificate, err = tls.X509KeyPair(text, text)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return certificate, nil
}

// errKeystore is a keystore that cannot be read as what it seems to be.
var errKeystore = errors.New("the password is wrong or the keystore is damaged")

// pair joins a PKCS8 key with its certificate, which it looks for among all,
// and the others behind it.
func pair(key []byte, certificates [][]byte) (tls.Certificate, error) {
	if key == nil {
		return tls.Certificate{}, errors.New("holds no private key")
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	encode := func(first int) []byte {
		chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates[first]})
		for i, c := range certificates {
			if i != first {
				chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
			}
		}
		return chain
	}
	for i := range certificates {
		if found, err := tls.X509KeyPair(encode(i), private); err == nil {
			return found, nil
		}
	}
	if _, err := x509.ParsePKCS8PrivateKey(key); err != nil {
		return tls.Certificate{}, errKeystore
	}
	return tls.Certificate{}, errors.New("holds no certificate for its private key")
}

// jksKey is what Sun's keystore calls its way to protect a key.
var jksKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 17, 1, 1}

// jks reads the fields of a JKS keystore one after the other.
type jks struct {
	rest []byte
	bad  bool
}

func (j *jks) take(n int) []byte {
	if j.bad || n < 0 || n > len(j.rest) {
		j.bad = true
		return make([]byte, 8)
	}
	b := j.rest[:n]
	j.rest = j.rest[n:]
	return b
}

func (j *jks) uint32() int  { return int(binary.BigEndian.Uint32(j.take(4))) }
func (j *jks) text() []byte { return j.take(int(binary.BigEndian.Uint16(j.take(2)))) }
func (j *jks) data() []byte { return j.take(j.uint32()) }

// readJKS takes the first private key of a JKS keystore.
func readJKS(text []byte, password string) (tls.Certificate, error) {
	j := &jks{rest: text[4:]}
	version := j.uint32()
	for range j.uint32() {
		if j.bad {
			break
		}
		kind := j.uint32()
		j.text()  // alias
		j.take(8) // when it was made
		if kind != 1 {
			if version == 2 {
				j.text()
			}
			j.data()
			continue
		}
		protected := j.data()
		var chain [][]byte
		for n := j.uint32(); n > 0 && !j.bad; n-- {
			if version == 2 {
				j.text() // X.509
			}
			chain = append(chain, j.data())
		}
		if j.bad {
			break
		}
		key, err := openJKSKey(protected, password)
		if err != nil {
			return tls.Certificate{}, err
		}
		return pair(key, chain)
	}
	if j.bad {
		return tls.Certificate{}, errKeystore
	}
	return pair(nil, nil)
}

// openJKSKey undoes Sun's key protection: the key is added to a chain of SHA-1
// sums that begins with the password and a salt, and followed by a sum.
func openJKSKey(protected []byte, password string) ([]byte, error) {
	var info encryptedKey
	if _, err := asn1.Unmarshal(protected, &info); err != nil || !info.Algorithm.Algorithm.Equal(jksKey) || len(info.Data) < 2*sha1.Size {
		return nil, errKeystore
	}
	secret := bigEndian(password)
	salt, data, check := info.Data[:sha1.Size], info.Data[sha1.Size:len(info.Data)-sha1.Size], info.Data[len(info.Data)-sha1.Size:]
	key := make([]byte, len(data))
	sum := salt
	for i := range data {
		if i%sha1.Size == 0 {
			next := sha1.Sum(append(bytes.Clone(secret), sum...))
			sum = next[:]
		}
		key[i] = data[i] ^ sum[i%sha1.Size]
	}
	if want := sha1.Sum(append(bytes.Clone(secret), key...)); !bytes.Equal(want[:], check) {
		return nil, errKeystore
	}
	return key, nil
}

// bigEndian is text in UTF-16.
func bigEndian(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return b
}
