package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"unicode"
)

// SplitList splits a list at its commas, for instance a flag or an environment variable. It
// removes white space and invisible marks, such as a byte order mark, around each element.
func SplitList(list string) []string {
	elements := strings.Split(list, ",")
	for i := range elements {
		elements[i] = trim(elements[i])
	}
	return elements
}

// trim returns a line without the white space around it, and without what has no width: a
// byte order mark, a zero-width space, marks of direction.
func trim(line string) string {
	return strings.TrimFunc(line, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) })
}

// withScheme returns the base URL that is meant where the scheme was forgotten. ok is false if it
// was not.
func withScheme(peer string) (with string, ok bool) {
	if peer == "" || strings.Contains(peer, "://") {
		return "", false
	}
	with = "http://" + peer
	u, err := url.Parse(with)
	return with, err == nil && u.Hostname() != "" && u.User == nil
}

// parseList returns the peers that a text lists, one a line. A line ends with a line feed,
// a carriage return or both.
func parseList(text []byte) ([]string, error) {
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it is no text of UTF-8, but maybe of UTF-16: want it saved as UTF-8")
	}
	var peers []string
	for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if peer := peerInLine(line); peer != "" {
			peers = append(peers, peer)
		}
	}
	return peers, nil
}

// peerInLine returns the peer that a line lists, without white space and the comment that begins
// with a #; empty, if there is none. What says that the peer owns nothing is no comment.
func peerInLine(line string) string {
	peer, rest, _ := strings.Cut(line, "#")
	text, _, _ := strings.Cut(rest, "#")
	if peer = trim(peer); peer != "" && "#"+trim(text) == ownsNothing {
		return OwningNothing(peer)
	}
	return peer
}

// readList returns the peers that a file lists. It reads all of it each time:
// neither the time nor the size of a file tells of every change.
func readList(path string) ([]string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // to read a named pipe would wait for its other end
		return nil, fmt.Errorf("%s: want a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, mostFileBytes+1)) // it may grow
	if err == nil && len(text) > mostFileBytes {
		err = fmt.Errorf("more than %d bytes: want a list of at most that", mostFileBytes)
	}
	var peers []string
	if err == nil {
		peers, err = parseList(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return peers, nil
}
