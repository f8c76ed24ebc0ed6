package codec

import (
	"math"
	"strconv"
)

// The Append functions append replies, or the beginning of one that has others in it, to b. proto
// is the version of the protocol, 2 or 3: what version 2 does not have is written as Redis writes
// it there.

// longestError is how many bytes of an error a client is sent.
const longestError = 512

func appendHead(b []byte, kind byte, n int64) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, n, 10)
	return append(b, '\r', '\n')
}

// AppendSimple appends a simple string, which must not have line breaks.
func AppendSimple(b []byte, s string) []byte {
	b = append(b, '+')
	b = append(b, s...)
	return append(b, '\r', '\n')
}

// AppendError appends an error: one line, of at most 512 bytes, whatever text is.
func AppendError(b []byte, text string) []byte {
	b = append(b, '-')
	shortened := len(text) > longestError
	if shortened {
		text = text[:longestError]
	}
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		b = append(b, c)
	}
	if shortened {
		b = append(b, "..."...)
	}
	return append(b, '\r', '\n')
}

// AppendInt appends an integer.
func AppendInt(b []byte, n int64) []byte { return appendHead(b, ':', n) }

// AppendBulk appends a string of any bytes.
func AppendBulk[T string | []byte](b []byte, s T) []byte {
	b = appendHead(b, '$', int64(len(s)))
	b = append(b, s...)
	return append(b, '\r', '\n')
}

// AppendBulkHead appends what stands before a string of n bytes. The string and a line break have
// to follow.
func AppendBulkHead(b []byte, n int) []byte { return appendHead(b, '$', int64(n)) }

// AppendNull appends the null that stands for no string.
func AppendNull(b []byte, proto int) []byte {
	if proto > 2 {
		return append(b, "_\r\n"...)
	}
	return append(b, "$-1\r\n"...)
}

// AppendNullArray appends the null that stands for no array.
func AppendNullArray(b []byte, proto int) []byte {
	if proto > 2 {
		return append(b, "_\r\n"...)
	}
	return append(b, "*-1\r\n"...)
}

// AppendArray appends the beginning of an array of n replies.
func AppendArray(b []byte, n int) []byte { return appendHead(b, '*', int64(n)) }

// AppendMap appends the beginning of a map of n pairs.
func AppendMap(b []byte, proto, n int) []byte {
	if proto > 2 {
		return appendHead(b, '%', int64(n))
	}
	return appendHead(b, '*', 2*int64(n))
}

// AppendSet appends the beginning of a set of n replies.
func AppendSet(b []byte, proto, n int) []byte {
	if proto > 2 {
		return appendHead(b, '~', int64(n))
	}
	return appendHead(b, '*', int64(n))
}

// AppendPush appends the beginning of a message of n parts that nobody has asked for.
func AppendPush(b []byte, proto, n int) []byte {
	if proto > 2 {
		return appendHead(b, '>', int64(n))
	}
	return appendHead(b, '*', int64(n))
}

// AppendBool appends true or false.
func AppendBool(b []byte, proto int, v bool) []byte {
	switch {
	case proto > 2 && v:
		return append(b, "#t\r\n"...)
	case proto > 2:
		return append(b, "#f\r\n"...)
	case v:
		return AppendInt(b, 1)
	}
	return AppendInt(b, 0)
}

// AppendDouble appends a floating-point number, with 17 digits, as Redis 7.0 does.
func AppendDouble(b []byte, proto int, f float64) []byte {
	var text [32]byte
	digits := text[:0]
	switch {
	case math.IsInf(f, 1):
		digits = append(digits, "inf"...)
	case math.IsInf(f, -1):
		digits = append(digits, "-inf"...)
	case math.IsNaN(f):
		digits = append(digits, "nan"...)
	default:
		digits = strconv.AppendFloat(digits, f, 'g', 17, 64)
	}
	if proto > 2 {
		b = append(b, ',')
		b = append(b, digits...)
		return append(b, '\r', '\n')
	}
	return AppendBulk(b, digits)
}

// AppendVerbatim appends a text with its format, of three letters: txt or mkd.
func AppendVerbatim(b []byte, proto int, format, text string) []byte {
	if proto < 3 {
		return AppendBulk(b, text)
	}
	b = appendHead(b, '=', int64(len(text)+4))
	b = append(b, format...)
	b = append(b, ':')
	b = append(b, text...)
	return append(b, '\r', '\n')
}

// AppendCommand appends a command as clients send it.
func AppendCommand(b []byte, args ...string) []byte {
	b = AppendArray(b, len(args))
	for _, arg := range args {
		b = AppendBulk(b, arg)
	}
	return b
}
