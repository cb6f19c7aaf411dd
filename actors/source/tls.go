package source

import (
	"crypto/tls"
	"os"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// serverTLS reads the TLS settings that Flume's listeners share; nil when the
// source is to speak plain TCP. Names of properties are looked up in the given
// order: the http source has old names for some. What the settings leave out
// comes from Flume's environment variables.
func serverTLS(s topologies.Settings) (*tls.Config, error) {
	if !s.Bool("ssl") && !s.Bool("enableSSL") {
		return nil, nil
	}
	path := firstOf(s, "FLUME_SSL_KEYSTORE_PATH", "keystore")
	if path == "" {
		s.Fail("keystore", "is missing: ssl wants a certificate with its key")
		return nil, s.Err()
	}
	certificate, err := loadKeystore(path, firstOf(s, "FLUME_SSL_KEYSTORE_PASSWORD", "keystore-password", "keystorePassword"))
	if err != nil {
		s.Fail("keystore", err.Error())
		return nil, s.Err()
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	include := protocols(firstOf(s, "FLUME_SSL_INCLUDE_PROTOCOLS", "include-protocols"))
	exclude := protocols(firstOf(s, "FLUME_SSL_EXCLUDE_PROTOCOLS", "exclude-protocols", "excludeProtocols"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		name := strings.ReplaceAll(tls.VersionName(version), "TLS ", "TLSv")
		if len(include) > 0 && !slices.Contains(include, name) || slices.Contains(exclude, name) {
			continue
		}
		if config.MinVersion == 0 {
			config.MinVersion = version
		}
		config.MaxVersion = version
	}
	if config.MinVersion == 0 {
		s.Fail("include-protocols", "leaves neither TLSv1.2 nor TLSv1.3, the versions that are safe")
	}
	return config, s.Err()
}

// firstOf is the first of the properties that stands in the file, else the
// environment variable, else the default of the first.
func firstOf(s topologies.Settings, variable string, properties ...string) string {
	for _, p := range properties {
		if s.Has(p) {
			return strings.TrimSpace(s.String(p))
		}
	}
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return s.String(properties[0])
}

func protocols(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}
