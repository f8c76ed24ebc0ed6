package api

import (
	"encoding/base64"
	"net/http"
	"time"
	"unicode/utf8"
)

// pieceBytes is how much of a large answer is written at a time.
const pieceBytes = 256 << 10

// pacer bounds how long a client may take to receive each piece of a large answer. It does nothing
// if the http.Server has a WriteTimeout, which it would lift.
type pacer struct {
	w     http.ResponseWriter
	limit time.Duration // 0: none
	began bool
}

func newPacer(w *answer, r *http.Request, limit time.Duration) pacer {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.WriteTimeout > 0 {
		return pacer{}
	}
	return pacer{w: w, limit: limit}
}

// next is called before each piece. A ResponseWriter without deadlines, such as one of a test, goes
// without.
func (p *pacer) next() {
	if p.limit > 0 {
		http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(p.limit))
		p.began = true
	}
}

// end is called after the last piece. What is not sent yet is sent within the limit, and the next
// request on the connection has no deadline.
func (p *pacer) end() {
	if p.began {
		deadlines := http.NewResponseController(p.w)
		deadlines.Flush()
		deadlines.SetWriteDeadline(time.Time{})
	}
}

// streamBytes is how much of a stream is gathered before it is written.
const streamBytes = 16 << 10

// stream writes JSON to a client, of any size, with a buffer of a fixed size.
type stream struct {
	w    *answer
	buf  []byte
	pace pacer
	err  error // of the first write that failed: the client has gone
	sent bool  // something was written
}

// newStream begins an answer of a type. Without another one it has the status 200.
func newStream(w *answer, r *http.Request, contentType string) *stream {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header["X-Content-Type-Options"] = nosniff
	if header["Cache-Control"] == nil {
		header.Set("Cache-Control", "no-store")
	}
	return &stream{w: w, pace: newPacer(w, r, defaultSendTime)}
}

// text writes s as it is.
func (s *stream) text(text string) {
	s.buf = append(s.buf, text...)
	s.spill()
}

// spill writes the buffer if it is full.
func (s *stream) spill() {
	if len(s.buf) >= streamBytes {
		s.flush()
	}
}

// flush writes the buffer.
func (s *stream) flush() {
	if s.err == nil && len(s.buf) > 0 {
		if s.sent { // one buffer has room in those of the connection
			s.pace.next()
		}
		s.sent = true
		_, s.err = s.w.Write(s.buf)
	}
	s.buf = s.buf[:0]
}

// end writes what is left.
func (s *stream) end() {
	s.flush()
	s.pace.end()
}

// bytes writes a member with bytes: as text if they are UTF-8, else in base64, with "Base64" at the
// end of the name.
func (s *stream) bytes(name, value string) {
	s.text(`"` + name)
	if utf8.ValidString(value) {
		s.text(`":`)
		s.quoted(value)
		return
	}
	s.text(`Base64":"`)
	const whole = streamBytes / 3 * 3 // has no padding
	for len(value) > 0 && s.err == nil {
		n := min(len(value), whole)
		s.buf = base64.StdEncoding.AppendEncode(s.buf, []byte(value[:n]))
		s.spill()
		value = value[n:]
	}
	s.text(`"`)
}

// quoted writes text, which is UTF-8, as a string of JSON.
func (s *stream) quoted(text string) {
	s.buf = append(s.buf, '"')
	for len(text) > 0 && s.err == nil {
		n := 0
		for n < len(text) && text[n] >= ' ' && text[n] != '"' && text[n] != '\\' && n < streamBytes {
			n++
		}
		s.buf = append(s.buf, text[:n]...)
		if text = text[n:]; text != "" && n < streamBytes {
			s.buf = appendEscaped(s.buf, text[0])
			text = text[1:]
		}
		s.spill()
	}
	s.buf = append(s.buf, '"')
}

// appendEscaped appends a byte that cannot stand in a string of JSON.
func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
