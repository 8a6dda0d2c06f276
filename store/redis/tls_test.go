package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// certificate writes a certificate for 127.0.0.1 that vouches for itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	keyDER, err := x509.MarshalECPrivateKey(private)
	must(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
}

func TestUsersAndTLS(t *testing.T) {
	cert, key := certificate(t)
	t.Setenv("SSL_CERT_FILE", cert) // read once, before the first TLS connection of the process
	port := servers.Port(t)
	servers.Redis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no",
		"--user", "app", "on", ">s3cr3t", "~*", "&*", "+@all", "-keys")
	ctx := context.Background()
	s := open(t, fmt.Sprintf("rediss://app:s3cr3t@127.0.0.1:%d/3", port), redis.Config{})
	at := grow(t, s, one, session.Position{}, 2, session.Attention{Due: 5})
	if h := headOf(t, s, one); h.Position != at {
		t.Errorf("the head is %+v", h)
	}
	wrong := open(t, fmt.Sprintf("rediss://app:s3cr3t-but-wrong@127.0.0.1:%d/3", port), redis.Config{})
	err := wrong.Append(ctx, one, at, after(at, "x"), session.Attention{})
	if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Unavailable || fault.Try(err) == "" || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("a wrong password: %v (%s)", err, fault.KindOf(err))
	}
	plain := open(t, fmt.Sprintf("redis://app:s3cr3t@127.0.0.1:%d", port), redis.Config{OpTimeout: 2 * time.Second})
	if err := plain.Append(ctx, one, at, after(at, "x"), session.Attention{}); !errors.Is(err, session.ErrNotSent) {
		t.Errorf("without TLS: %v", err)
	}
}
