package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newLog makes the logger that memberlist wants: what it says goes to l.
func newLog(l *slog.Logger) *log.Logger { return log.New(lines{l}, "", 0) }

// lines takes lines such as "[WARN] memberlist: Refuting a suspect message".
type lines struct{ log *slog.Logger }

// levels are the words in brackets at the beginning of memberlist's lines.
var levels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug,
	"INFO":  slog.LevelInfo,
	"WARN":  slog.LevelWarn,
	"ERR":   slog.LevelError,
	"ERROR": slog.LevelError,
}

// Write logs one line, without error.
func (l lines) Write(line []byte) (int, error) {
	level, text := slog.LevelInfo, bytes.TrimSpace(line)
	if bytes.HasSuffix(text, []byte(errFull.Error())) {
		return len(line), nil // that was said once
	}
	if word, rest, ok := bytes.Cut(text, []byte("] ")); ok && bytes.HasPrefix(word, []byte("[")) {
		if known, ok := levels[string(word[1:])]; ok {
			level, text = known, rest
		}
	}
	if l.log.Enabled(context.Background(), level) {
		text = bytes.TrimPrefix(text, []byte("memberlist: "))
		l.log.Log(context.Background(), level, "gossip: "+string(text))
	}
	return len(line), nil
}
