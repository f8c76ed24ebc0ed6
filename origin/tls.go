package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is the section "tls" of an origin that is a server.
type TLS struct {
	// CA is a PEM file of the authorities that the server may have its certificate from. Empty means those of the system.
	CA string `yaml:"ca" help:"a PEM file of authorities (default: those of the system)"`
	// Cert and Key are PEM files of this process's certificate. They are read again for each connection.
	Cert string `yaml:"cert" help:"a PEM file with the certificate of this process"`
	Key  string `yaml:"key" help:"a PEM file with the key of cert"`
	// ServerName is the name in the server's certificate. Empty means the host that is connected to.
	ServerName string `yaml:"server_name" help:"the name in the server's certificate (default: the host that is connected to)"`
	// Insecure says that no certificate is verified.
	Insecure bool `yaml:"insecure" help:"verify no certificate (default false)"`
}

// Config returns the configuration of a client. It fails if a file cannot be read, or is wrong.
func (t *TLS) Config() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s has no certificate: want a PEM file", t.CA)
		}
	}
	if t.Insecure && t.CA != "" {
		return nil, errors.New("insecure excludes ca: want one of them")
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("want cert and key, or none of them")
	}
	if t.Cert == "" {
		return config, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return config, nil
}
