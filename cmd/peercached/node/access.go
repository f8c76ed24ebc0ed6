package node

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// tokens are those of a front door, which can change while it is open. They are found by a hash, so
// that the time which that takes says nothing about them.
type tokens struct {
	current atomic.Pointer[map[[sha256.Size]byte]config.Token] // nil: clients need none
}

// set replaces the tokens.
func (t *tokens) set(all []config.Token) error {
	if len(all) == 0 {
		t.current.Store(nil)
		return nil
	}
	m := make(map[[sha256.Size]byte]config.Token, len(all))
	for _, one := range all {
		text, err := one.Token.Read()
		if err != nil {
			return err
		}
		m[sha256.Sum256([]byte(text))] = one
	}
	t.current.Store(&m)
	return nil
}

// refusal is why a token does not let a client in.
type refusal struct {
	known bool // who the client is
	text  string
}

// check returns nil if the header Authorization allows a right for a group.
func (t *tokens) check(header, right, group string) *refusal {
	current := t.current.Load()
	if current == nil {
		return nil
	}
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return &refusal{text: "want a token: Authorization: Bearer …"}
	}
	token, ok := (*current)[sha256.Sum256([]byte(strings.TrimSpace(text)))]
	switch {
	case !ok:
		return &refusal{text: "the token is not known here"}
	case len(token.May) > 0 && !slices.Contains(token.May, right):
		return &refusal{known: true, text: fmt.Sprintf("the token does not allow %s", right)}
	case len(token.Groups) > 0 && !slices.Contains(token.Groups, group):
		return &refusal{known: true, text: "the token does not allow that for this group"}
	}
	return nil
}
