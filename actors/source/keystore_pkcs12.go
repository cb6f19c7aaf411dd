package source

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"math/big"
)

// The object identifiers of PKCS12 (RFC 7292) that matter here.
var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncrypted = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShrouded  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidSHA3DES   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidSHARC2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}
)

// pbkdf2Hashes and aesKeys are what PBES2 may name.
var (
	pbkdf2Hashes = map[string]func() hash.Hash{
		"1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New,
		"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
	aesKeys = map[string]int{"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}
)

// iterationsMax bounds what a keystore may make us compute.
const iterationsMax = 10_000_000

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// readPKCS12 takes the private key of a PKCS12 keystore with its certificates.
func readPKCS12(text []byte, password string) (tls.Certificate, error) {
	var file struct {
		Version int
		Safe    contentInfo
		MAC     asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(text, &file); err != nil || !file.Safe.Type.Equal(oidData) {
		return tls.Certificate{}, errors.New("is no PKCS12 keystore")
	}
	var safe []byte
	var parts []contentInfo
	if _, err := asn1.Unmarshal(file.Safe.Content.Bytes, &safe); err != nil {
		return tls.Certificate{}, errKeystore
	}
	if _, err := asn1.Unmarshal(safe, &parts); err != nil {
		return tls.Certificate{}, errKeystore
	}
	var key []byte
	var certificates [][]byte
	for _, part := range parts {
		bags, err := openPart(part, password)
		if err == nil {
			err = readBags(bags, password, &key, &certificates)
		}
		if err != nil {
			return tls.Certificate{}, err
		}
	}
	return pair(key, certificates)
}

// openPart is the bags of one part of a keystore.
func openPart(part contentInfo, password string) (bags []byte, err error) {
	if part.Type.Equal(oidData) {
		if _, err = asn1.Unmarshal(part.Content.Bytes, &bags); err != nil {
			return nil, errKeystore
		}
		return bags, nil
	}
	var sealed struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      []byte `asn1:"tag:0,optional"`
		}
	}
	if !part.Type.Equal(oidEncrypted) {
		return nil, fmt.Errorf("holds a part of kind %v, which cannot be read", part.Type)
	}
	if _, err = asn1.Unmarshal(part.Content.Bytes, &sealed); err != nil {
		return nil, errKeystore
	}
	return decrypt(sealed.Info.Algorithm, sealed.Info.Data, password)
}

// readBags collects the first key and all certificates.
func readBags(text []byte, password string, key *[]byte, certificates *[][]byte) error {
	var bags []struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue   `asn1:"tag:0,explicit"`
		Attributes []asn1.RawValue `asn1:"set,optional"`
	}
	if _, err := asn1.Unmarshal(text, &bags); err != nil {
		return errKeystore
	}
	for _, bag := range bags {
		switch {
		case bag.ID.Equal(oidCertBag):
			var certificate struct {
				ID   asn1.ObjectIdentifier
				Data []byte `asn1:"tag:0,explicit"`
			}
			if _, err := asn1.Unmarshal(bag.Value.Bytes, &certificate); err != nil {
				return errKeystore
			}
			*certificates = append(*certificates, certificate.Data)
		case *key != nil:
		case bag.ID.Equal(oidKeyBag):
			*key = bag.Value.Bytes
		case bag.ID.Equal(oidShrouded):
			var sealed encryptedKey
			if _, err := asn1.Unmarshal(bag.Value.Bytes, &sealed); err != nil {
				return errKeystore
			}
			opened, err := decrypt(sealed.Algorithm, sealed.Data, password)
			if err != nil {
				return err
			}
			*key = opened
		}
	}
	return nil
}

// decrypt opens data as algorithm says, and takes the padding off.
func decrypt(algorithm pkix.AlgorithmIdentifier, data []byte, password string) ([]byte, error) {
	var block cipher.Block
	var iv []byte
	var err error
	switch {
	case algorithm.Algorithm.Equal(oidPBES2):
		block, iv, err = pbes2(algorithm.Parameters.FullBytes, password)
	case algorithm.Algorithm.Equal(oidSHA3DES):
		block, iv, err = sha3DES(algorithm.Parameters.FullBytes, password)
	case algorithm.Algorithm.Equal(oidSHARC2):
		err = errors.New("is encrypted with RC2, which is not read; write it again: openssl pkcs12 -legacy -in KEYSTORE -nodes -out keys.pem, and name keys.pem as keystore")
	default:
		err = fmt.Errorf("is encrypted by %v, which is not read", algorithm.Algorithm)
	}
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data)%block.BlockSize() != 0 || len(iv) != block.BlockSize() {
		return nil, errKeystore
	}
	open := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(open, data)
	n := int(open[len(open)-1])
	if n == 0 || n > block.BlockSize() || !bytes.Equal(open[len(open)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errKeystore
	}
	return open[:len(open)-n], nil
}

// pbes2 is the cipher of RFC 8018: PBKDF2, then AES.
func pbes2(params []byte, password string) (cipher.Block, []byte, error) {
	var p struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	var k struct {
		Salt       []byte
		Iterations int
		Length     int                      `asn1:"optional"`
		Hash       pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params, &p); err != nil {
		return nil, nil, errKeystore
	}
	if _, err := asn1.Unmarshal(p.KDF.Parameters.FullBytes, &k); err != nil || k.Iterations < 1 || k.Iterations > iterationsMax {
		return nil, nil, errKeystore
	}
	length, known := aesKeys[p.Cipher.Algorithm.String()]
	if !known {
		return nil, nil, fmt.Errorf("is encrypted by %v, which is not read", p.Cipher.Algorithm)
	}
	if _, err := asn1.Unmarshal(p.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, nil, errKeystore
	}
	sum := sha1.New
	if k.Hash.Algorithm != nil {
		if sum = pbkdf2Hashes[k.Hash.Algorithm.String()]; sum == nil {
			return nil, nil, fmt.Errorf("derives its key by %v, which is not read", k.Hash.Algorithm)
		}
	}
	key, err := pbkdf2.Key(sum, password, k.Salt, k.Iterations, length)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	return block, iv, err
}

// sha3DES is the cipher of older keystores: RFC 7292's own key derivation, then
// triple DES.
func sha3DES(params []byte, password string) (cipher.Block, []byte, error) {
	var p struct {
		Salt       []byte
		Iterations int
	}
	if _, err := asn1.Unmarshal(params, &p); err != nil || p.Iterations < 1 || p.Iterations > iterationsMax || len(p.Salt) == 0 {
		return nil, nil, errKeystore
	}
	secret := append(bigEndian(password), 0, 0)
	block, err := des.NewTripleDESCipher(derive(1, secret, p.Salt, p.Iterations, 24))
	return block, derive(2, secret, p.Salt, p.Iterations, 8), err
}

// derive is the key derivation of RFC 7292, appendix B, with SHA-1.
func derive(purpose byte, secret, salt []byte, iterations, length int) []byte {
	const v = 64
	fill := func(b []byte) []byte {
		out := bytes.Repeat(b, (len(b)+v-1)/v*v/len(b)+1)
		return out[:(len(b)+v-1)/v*v]
	}
	d := bytes.Repeat([]byte{purpose}, v)
	i := append(fill(salt), fill(secret)...)
	modulus := new(big.Int).Lsh(big.NewInt(1), 8*v)
	var key []byte
	for len(key) < length {
		a := sha1.Sum(append(bytes.Clone(d), i...))
		for range iterations - 1 {
			a = sha1.Sum(a[:])
		}
		key = append(key, a[:]...)
		b := new(big.Int).SetBytes(bytes.Repeat(a[:], v/len(a)+1)[:v])
		b.Add(b, big.NewInt(1))
		for at := 0; at < len(i); at += v {
			n := new(big.Int).SetBytes(i[at : at+v])
			n.Add(n, b).Mod(n, modulus).FillBytes(i[at : at+v])
		}
	}
	return key[:length]
}
