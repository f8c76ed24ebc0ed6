package httppeer

import (
	"bytes"
	"log/slog"
	"strings"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/peer"
)

// refusalLog records whom this process refuses because the sender has not proven who it is, and
// connections that fail. Package audit bounds what is logged of it.
type refusalLog struct{ audit *audit.Log }

// refuse records that the sender at an address, which calls itself from, is refused, and why.
func (l *refusalLog) refuse(message string, from peer.Identity, address string, err error) {
	l.audit.Record(audit.Unauthenticated, slog.LevelWarn, err.Error(), message,
		audit.Identity(from.Name), slog.String("address", address), slog.Any("err", err))
}

// crowded records that a connection was closed to make room for others.
func (l *refusalLog) crowded(address string) {
	const message = "a connection was closed on which nobody had proven to be a peer: there are as many as Limits.Unproven allows"
	l.audit.Record(audit.Connection, slog.LevelWarn, "crowded", message, audit.Identity(""), slog.String("address", address))
}

// mostLogged is how many bytes of an error of the http.Server are logged.
const mostLogged = 500

// Write implements io.Writer, for the ErrorLog of an http.Server: a connection fails before there is
// a request.
func (l *refusalLog) Write(b []byte) (int, error) {
	text := string(bytes.TrimSpace(b[:min(len(b), mostLogged)]))
	event, kind, address := audit.Connection, text, ""
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok { // "<address>: <why>"
		event = audit.Unauthenticated
		if from, why, ok := strings.Cut(rest, ": "); ok {
			kind, address = why, from
		}
	}
	l.audit.Record(event, slog.LevelWarn, kind, "a connection has failed",
		audit.Identity(""), slog.String("address", address), slog.String("err", text))
	return len(b), nil
}
