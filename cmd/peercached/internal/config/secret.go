package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

// Secret is a text that is never printed. It stands in the configuration, in a file or in a variable
// of the environment.
type Secret struct {
	Value string `yaml:"value,short" help:"the secret itself" unset:"not here"`
	File  string `yaml:"file" want:"a file" exists:"file" help:"the file that holds it; a line break at its end does not count" unset:"no file"`
	Env   string `yaml:"env" want:"a name" help:"the variable of the environment that holds it" unset:"no variable"`
}

// mostSecretBytes bounds what is read of a file.
const mostSecretBytes = 64 << 10

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s != Secret{} }

// Read returns the secret, or "" if none is set.
func (s Secret) Read() (string, error) {
	n := 0
	for _, where := range []string{s.Value, s.File, s.Env} {
		if where != "" {
			n++
		}
	}
	if n > 1 {
		return "", errors.New("want one of value, file and env")
	}
	switch {
	case s.Env != "":
		text := os.Getenv(s.Env)
		if text == "" {
			return "", fmt.Errorf("the variable %s is not set, or empty", s.Env)
		}
		return text, nil
	case s.File != "":
		f, err := os.Open(s.File)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, mostSecretBytes))
		if err != nil {
			return "", err
		}
		text := strings.TrimRight(string(b), "\r\n")
		if text == "" {
			return "", fmt.Errorf("%s is empty", s.File)
		}
		return text, nil
	}
	return s.Value, nil
}

// variable returns the name if text is ${NAME}, and else "". Who writes that expects the value of the
// variable, and would have a secret that others can guess.
func variable(text string) string {
	name, ok := strings.CutPrefix(text, "${")
	if name, ok2 := strings.CutSuffix(name, "}"); ok && ok2 && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == "" {
		return name
	}
	return ""
}

// Shown implements conf.Hider: the variable that can hold the secret in place of the value.
func (s Secret) Shown(path string) string {
	switch {
	case s.File != "":
		return "{file: " + conf.Word(s.File) + "}"
	case s.Env != "":
		return "{env: " + conf.Word(s.Env) + "}"
	}
	return "{env: " + conf.EnvName(path) + "}"
}

// String keeps the secret out of what is printed.
func (s Secret) String() string { return "(a secret)" }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Want says what a secret looks like.
func (Secret) Want() string { return "a text, {file: …} or {env: …}" }
