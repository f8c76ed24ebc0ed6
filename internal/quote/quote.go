// Package quote shows keys, names and texts that come from others in errors and logs. They may have
// any bytes, and are shortened if they are long.
package quote

import (
	"fmt"
	"strings"
)

// LongestKey is how many bytes of a key an error or a log shows.
const LongestKey = 64

// Key returns a key or a name in quotes, shortened to LongestKey bytes.
func Key(key string) string {
	if len(key) > LongestKey {
		return fmt.Sprintf("%q… (%d bytes)", key[:LongestKey], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// longestText is how many bytes of a text from a peer an error shows.
const longestText = 1024

// Text returns a text from a peer in quotes, shortened to longestText bytes. It may have control
// characters, or be no text at all.
func Text(text string) string {
	if len(text) > longestText {
		return fmt.Sprintf("%q… (%d bytes)", text[:longestText], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// All returns names, each as Key returns it.
func All(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = Key(name)
	}
	return all
}

// Some returns the first MostNamed names, and the number of the others.
func Some(names []string) string {
	if len(names) <= MostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:MostNamed], ", "), len(names)-MostNamed)
}

// IsOrAre returns " is " for one name and " are " for more.
func IsOrAre(names []string) string {
	if len(names) == 1 {
		return " is "
	}
	return " are "
}

// MostNamed is how many names an error shows.
const MostNamed = 5
