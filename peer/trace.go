package peer

import "strings"

// A span travels as W3C Trace Context says, version 00.
const (
	traceparentBytes = 55
	mostTracestate   = 512
)

// JoinTrace returns the Query.Trace, or Change.Trace, of a W3C traceparent and tracestate. It is empty
// if traceparent is not one of version 00. A tracestate that is too long (512 bytes), or is no
// printable ASCII, is left out.
func JoinTrace(traceparent, tracestate string) string {
	switch {
	case !isTraceparent(traceparent):
		return ""
	case tracestate == "" || !mayBeTracestate(tracestate):
		return traceparent
	}
	return traceparent + " " + tracestate
}

// SplitTrace returns the traceparent and the tracestate in a Query.Trace, or Change.Trace. Both are
// what JoinTrace accepts, or empty, whatever the peer has sent.
func SplitTrace(trace string) (traceparent, tracestate string) {
	traceparent, tracestate, _ = strings.Cut(trace, " ")
	if !isTraceparent(traceparent) {
		return "", ""
	}
	if !mayBeTracestate(tracestate) {
		tracestate = ""
	}
	return traceparent, tracestate
}

// isTraceparent reports whether s is 00-{32 hex digits}-{16 hex digits}-{2 hex digits}, neither of
// the first two all zeros.
func isTraceparent(s string) bool {
	if len(s) != traceparentBytes || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, span := s[3:35], s[36:52]
	return isHex(trace) && isHex(span) && isHex(s[53:]) && strings.Trim(trace, "0") != "" && strings.Trim(span, "0") != ""
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// mayBeTracestate checks what a reader of a tracestate relies on. What the entries look like is for
// the Tracer to check.
func mayBeTracestate(s string) bool {
	if len(s) > mostTracestate {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
