package peerurl

import (
	_ "embed"
	"strings"
	"testing"
)

// spellings has base URLs, and behind each the one way to write it, if there is one.
//
//go:embed testdata/spellings.txt
var spellings string

// There is one way to write a base URL. All others are refused, with an error that has that one.
func TestSpell(t *testing.T) {
	for line := range strings.Lines(spellings) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		got, err := Spell(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is spelled %q, error %v: want %q", name, got, err, want)
		}
		switch err := Check(name); {
		case want == name:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil:
			t.Errorf("%s: no error", name)
		case want != "" && !strings.Contains(err.Error(), "spelled "+want+","):
			t.Errorf("%s: %v, want an error with %s", name, err, want)
		case !strings.Contains(err.Error(), "want"):
			t.Errorf("%s: %v, want an error that says what would be right", name, err)
		}
		if want != "" {
			if again, err := Spell(want); again != want || err != nil {
				t.Errorf("%s is spelled %s, and that %s, %v", name, want, again, err)
			}
		}
	}
}

// FuzzSpell spells anything. What comes of it is a spelling, the only one, of the same host.
func FuzzSpell(f *testing.F) {
	for line := range strings.Lines(spellings) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		want, err := Spell(name)
		if err != nil {
			if Check(name) == nil {
				t.Errorf("%q: %v, and Check allows it", name, err)
			}
			return
		}
		if again, err := Spell(want); again != want || err != nil {
			t.Errorf("%q is spelled %q, and that %q, %v", name, want, again, err)
		}
		if err := Check(name); (err == nil) != (name == want) {
			t.Errorf("%q is spelled %q, and Check says %v", name, want, err)
		}
	})
}

// From where an address can be reached, its text says.
func TestReachOf(t *testing.T) {
	for name, want := range map[string]Reach{
		"http://127.0.0.1:8001":      OneMachine,
		"http://127.1.2.3":           OneMachine,
		"http://[::1]:8001":          OneMachine,
		"http://localhost:8001":      OneMachine,
		"http://a.localhost":         OneMachine,
		"http://169.254.169.254":     OneNetwork,
		"http://[fe80::1]:8001":      OneNetwork,
		"http://10.0.0.1:8001":       Anywhere,
		"http://[fd00::1]:8001":      Anywhere,
		"http://localhost.a.example": Anywhere,
		"http://a.example":           Anywhere,
		"rubbish\x00":                Anywhere,
	} {
		if got := ReachOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

// A URL is shown without a user and a password, and not at any length.
func TestShown(t *testing.T) {
	for name, want := range map[string]string{
		"http://a.example":            `"http://a.example"`,
		"http://u:secret@a.example":   `"…@a.example"`,
		"http://u:secret@b@a.example": `"…@a.example"`,
		"http://\n":                   `"http://\n"`,
	} {
		if got := Shown(name); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
		}
	}
	if long := Shown("http://u:secret" + strings.Repeat("s", Longest) + "@a.example"); strings.Contains(long, "secret") {
		t.Errorf("a long one is shown as %s", long)
	}
	if long := Shown("http://" + strings.Repeat("a", 2*Longest)); len(long) > Longest {
		t.Errorf("a long one is shown with %d bytes", len(long))
	}
}
