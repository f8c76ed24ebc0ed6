package etcd

import (
	"slices"
	"strings"
	"testing"
)

// TestRoster takes steps, and checks who is in the view after each. +a=x puts x
// under the key a, -a deletes it, ?a is a deletion in doubt; =a,b reads those keys
// and no others, ~a,b does so after an outage; . ends the grace.
func TestRoster(t *testing.T) {
	for _, tc := range []struct{ steps, want string }{
		{"+a=1 +b=2 -a", "2"},
		{"+a=1 +b=1", "1"},               // two keys, one peer
		{"+a=1 +b=1 -a", "1"},            // of which one is left
		{"+a=1 +a=2", "2"},               // written anew
		{"-a", ""},                       // never seen
		{"+a=1 +b=2 ?a", "1 2"},          // may come back
		{"+a=1 +b=2 ?a .", "2"},          // has not
		{"+a=1 +b=2 ?a +a=3 .", "2 3"},   // has, with another URL
		{"+a=1 +b=2 ?a -a .", "2"},       // gone twice
		{"=a,b", "a b"},                  // the first view
		{"=a,b =b", "b"},                 // no outage
		{"=a,b ~b,c", "a b c"},           // an outage
		{"=a,b ~b .", "b"},               //
		{"=a,b ~b ~b .", "b"},            // another read in the grace
		{"=a,b ~b ~c", "a b c"},          // two outages
		{"=a,b ~ ~a .", "a"},             // all gone, one back
		{"=a,b ~ .", ""},                 // nobody came
		{"=a,b ~b ~a,b -a", "b"},         // back, and gone in good order
		{"=a,b,c ~c +a=a .", "a c"},      // back by the watch
		{"=a,b ~b =a,b . +c=c", "a b c"}, // back by a read
	} {
		var r roster
		r.read(make(map[string]string), false)
		for step := range strings.FieldsSeq(tc.steps) {
			keys := make(map[string]string)
			for key := range strings.FieldsFuncSeq(step[1:], func(r rune) bool { return r == ',' }) {
				keys[key] = key
			}
			switch key, url, _ := strings.Cut(step[1:], "="); step[0] {
			case '+':
				r.put(key, url)
			case '-', '?':
				r.remove(key, step[0] == '?')
			case '=', '~':
				r.read(keys, step[0] == '~')
			case '.':
				r.giveUp()
			}
		}
		if got := r.peers(); !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %q", tc.steps, got, tc.want)
		}
	}
}
