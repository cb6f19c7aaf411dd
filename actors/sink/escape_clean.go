package sink

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// headerBytesMax bounds what one header adds to a path.
const headerBytesMax = 200

// appendCleaned writes the value of a header so that it can be a part of a path
// and cannot lead out of it: no '/', no "..", no control characters, no bytes
// that are not text, at most headerBytesMax bytes. With slash, '/' stays
// and every folder's name is cleaned; a value at the very start of a path (first)
// does not make it absolute.
func appendCleaned(dst, value []byte, slash, first bool) []byte {
	value = cutRunes(value, headerBytesMax)
	if slash && first {
		for len(value) > 0 && value[0] == '/' {
			value = value[1:]
		}
	}
	name := len(dst) // where the current folder's name began
	for len(value) > 0 {
		r, n := utf8.DecodeRune(value)
		switch {
		case r == '/' && slash:
			noDots(dst[name:])
			dst = append(dst, '/')
			name = len(dst)
		case r == '/', r < ' ', 0x7f <= r && r < 0xa0, r == utf8.RuneError && n == 1:
			dst = append(dst, '_')
		case r == '.' && len(dst) > name && dst[len(dst)-1] == '.':
			dst[len(dst)-1] = '_'
			dst = append(dst, '_')
		default:
			dst = append(dst, value[:n]...)
		}
		value = value[n:]
	}
	noDots(dst[name:])
	return dst
}

// noDots makes underscores of the dots of a name that holds nothing else: a
// single dot may meet another one of the pattern.
func noDots(name []byte) {
	for _, c := range name {
		if c != '.' && c != '_' {
			return
		}
	}
	for i := range name {
		name[i] = '_'
	}
}

// cutRunes is b without what lies beyond limit bytes, cut between characters.
func cutRunes(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(b[end]) {
			return b[:end]
		}
	}
	return b[:limit] // not text; every byte is replaced
}

// climbsWhenEmpty says whether empty headers would make the pattern's own dots
// meet to a "..", as in "a/.%{h}./b".
func (e *escaper) climbsWhenEmpty() bool {
	var empty, filled strings.Builder
	for _, p := range e.pieces {
		if p.kind != fixedPiece {
			filled.WriteByte('_')
		}
		for _, part := range p.parts {
			text := part.literal
			if part.letter != 0 {
				text = "0"
			}
			empty.WriteString(text)
			filled.WriteString(text)
		}
	}
	return climbs(empty.String()) > climbs(filled.String())
}

func climbs(path string) int {
	n := 0
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			n++
		}
	}
	return n
}

// hostLookupWait bounds how long the start of a sink waits for a name server.
const hostLookupWait = 3 * time.Second

// systemHostName answers for %[localhost], %[ip] and %[fqdn].
func systemHostName(which string) (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostLookupWait)
	defer cancel()
	switch which {
	case "localhost":
		return name, nil
	case "ip":
		return hostAddress(ctx, name), nil
	case "fqdn":
		names, _ := net.DefaultResolver.LookupAddr(ctx, hostAddress(ctx, name))
		if len(names) > 0 {
			return strings.TrimSuffix(names[0], "."), nil
		}
		return name, nil
	}
	return "", fmt.Errorf("%q is none of localhost, ip, fqdn", which)
}

// hostAddress is the node's address as its own name leads to, an IPv4 one
// where there is any.
func hostAddress(ctx context.Context, name string) string {
	ips, _ := net.DefaultResolver.LookupIPAddr(ctx, name)
	for _, ip := range ips {
		if ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	if len(ips) > 0 {
		return ips[0].IP.String()
	}
	return "127.0.0.1"
}
