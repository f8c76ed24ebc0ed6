package peer

import (
	"strings"
	"testing"
)

const aTraceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceIsJoinedAndSplit(t *testing.T) {
	for _, tt := range []struct{ parent, state, wantParent, wantState string }{
		{aTraceparent, "", aTraceparent, ""},
		{aTraceparent, "a=1,b=2", aTraceparent, "a=1,b=2"},
		{aTraceparent, "a= 1, b=2", aTraceparent, "a= 1, b=2"},
		{"", "a=1", "", ""},
		{strings.ToUpper(aTraceparent), "a=1", "", ""},
		{"01" + aTraceparent[2:], "", "", ""},
		{aTraceparent + "-x", "", "", ""},
		{aTraceparent[:54], "", "", ""},
		{aTraceparent[:54] + " ", "", "", ""},
		{"00-" + strings.Repeat("0", 32) + aTraceparent[35:], "", "", ""},
		{aTraceparent[:36] + strings.Repeat("0", 16) + "-01", "", "", ""},
		{strings.Replace(aTraceparent, "-b7", "_b7", 1), "", "", ""},
		{aTraceparent, strings.Repeat("a", mostTracestate), aTraceparent, strings.Repeat("a", mostTracestate)},
		{aTraceparent, strings.Repeat("a", mostTracestate+1), aTraceparent, ""},
		{aTraceparent, "a=\n", aTraceparent, ""},
		{aTraceparent, "a=\xff", aTraceparent, ""},
	} {
		parent, state := SplitTrace(JoinTrace(tt.parent, tt.state))
		if parent != tt.wantParent || state != tt.wantState {
			t.Errorf("%q and %q are joined and split to %q and %q, want %q and %q", tt.parent, tt.state, parent, state, tt.wantParent, tt.wantState)
		}
		// And what a peer sends without JoinTrace.
		parent, state = SplitTrace(tt.parent + " " + tt.state)
		if parent != tt.wantParent || state != tt.wantState {
			t.Errorf("%q and %q are split to %q and %q, want %q and %q", tt.parent, tt.state, parent, state, tt.wantParent, tt.wantState)
		}
	}
}
