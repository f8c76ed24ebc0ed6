package codec

// words appends the words of a line, as Redis splits an inline command: "in quotes", with the
// escapes \n \r \t \b \a \xHH, or 'in single ones'. ok is false if a quote is not closed, or
// something follows one that is.
func words(to [][]byte, line []byte) (_ [][]byte, ok bool) {
	for {
		for len(line) > 0 && isSpace(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			return to, true
		}
		var word []byte
		if word, line, ok = nextWord(line); !ok {
			return to, false
		}
		to = append(to, word)
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\v' || c == '\f' || c == 0
}

// nextWord returns the word that line begins with, and what comes after it.
func nextWord(line []byte) (word, rest []byte, ok bool) {
	word = []byte{}
	for len(line) > 0 {
		switch c := line[0]; {
		case isSpace(c):
			return word, line, true
		case c == '"' || c == '\'':
			if word, line, ok = quoted(word, line[1:], c); !ok || len(line) > 0 && !isSpace(line[0]) {
				return nil, nil, false
			}
			return word, line, true
		default:
			word, line = append(word, c), line[1:]
		}
	}
	return word, nil, true
}

// quoted appends what stands before the closing quote to word, and returns what comes after that.
func quoted(word, line []byte, quote byte) (_, rest []byte, ok bool) {
	for len(line) > 0 {
		c := line[0]
		switch {
		case c == quote:
			return word, line[1:], true
		case c == '\\' && quote == '\'' && len(line) > 1 && line[1] == '\'':
			word, line = append(word, '\''), line[2:]
		case c == '\\' && quote == '"' && len(line) > 3 && line[1] == 'x' && hex(line[2]) >= 0 && hex(line[3]) >= 0:
			word, line = append(word, byte(hex(line[2])<<4|hex(line[3]))), line[4:]
		case c == '\\' && quote == '"' && len(line) > 1:
			word, line = append(word, unescape(line[1])), line[2:]
		default:
			word, line = append(word, c), line[1:]
		}
	}
	return nil, nil, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
