package number

import "encoding/binary"

// CutUvarint returns the number with which s begins, as encoding/binary's AppendUvarint has written it, and what follows.
func CutUvarint(s string) (n uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		if i == binary.MaxVarintLen64-1 && s[i] > 1 {
			return 0, "", false
		}
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}

// CutText returns the text with which s begins, its length before it, and what follows.
func CutText(s string) (text, rest string, ok bool) {
	n, rest, ok := CutUvarint(s)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// AppendText appends a text with its length before it.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
