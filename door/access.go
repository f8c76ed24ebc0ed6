package door

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/internal/quote"
)

// Right is something that a client may do with a group. Rights are joined with |.
type Right uint8

const (
	RightGet    Right = 1 << iota // read values
	RightChange                   // set and remove values
	RightClear                    // clear the group
	RightWatch                    // hear which keys change

	AllRights = RightGet | RightChange | RightClear | RightWatch
)

var rightNames = map[Right]string{RightGet: "get", RightChange: "change", RightClear: "clear", RightWatch: "watch"}

// String returns the right in lower case, such as "get".
func (r Right) String() string {
	if name := rightNames[r]; name != "" {
		return name
	}
	return fmt.Sprintf("Right(%d)", uint8(r))
}

// ParseRight returns the right that String shows as text.
func ParseRight(text string) (Right, error) {
	for r, name := range rightNames {
		if name == text {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%s is no right: want get, change, clear or watch", quote.Key(text))
}

// Access is what a client asks for.
type Access struct {
	Group string
	Key   string // empty if it is for many keys, or for the whole group
	Right Right  // one of them
}

// Rights are what a token allows.
type Rights struct {
	May    Right    // some of the rights, joined with |
	Groups []string // with which groups; none means all
}

// Allow reports whether the rights allow a. Whether there is such a group does not matter.
func (r *Rights) Allow(a Access) bool {
	return r.May&a.Right != 0 && (len(r.Groups) == 0 || slices.Contains(r.Groups, a.Group))
}

// ErrUnauthenticated says that a client has to say who it is before it may do what it asks for. An
// authorizer of a door returns it, or wraps it.
var ErrUnauthenticated = errors.New("the client has to say who it is")

// Tokens are the secrets by which a front door knows its clients, each with what it allows. They may
// be replaced while the door is open. The zero value has none, and lets in everybody, to do
// everything. It is safe for concurrent use, and must not be copied.
type Tokens struct {
	// known is found by a digest, so that the time which that takes says nothing about the secrets.
	known atomic.Pointer[map[[sha256.Size]byte]*Rights] // nil: there are none
}

// NewTokens returns tokens by the secrets that clients send. It refuses to have none: a variable that
// is not set would otherwise open the door to everybody. See Set for what a secret is.
func NewTokens(rights map[string]Rights) (*Tokens, error) {
	if len(rights) == 0 {
		return nil, errors.New("no tokens, which would let in everybody: want one")
	}
	t := new(Tokens)
	if err := t.Set(rights); err != nil {
		return nil, err
	}
	return t, nil
}

// leastSecret is the least that a secret has, in bytes: it keeps out what can be guessed.
const leastSecret = 16

// CheckSecret returns an error if a text cannot be the secret of a token: it has at least 16 bytes,
// best 32 random ones as those of "openssl rand -base64 32", and can stand in a header.
func CheckSecret(secret string) error {
	switch {
	case len(secret) < leastSecret:
		return fmt.Errorf("a token of %d bytes: want at least %d, such as those of openssl rand -base64 32", len(secret), leastSecret)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("a token with characters that cannot stand in a header: want printable ASCII without spaces")
	}
	return nil
}

// Set puts other tokens in the place of those that t has. Without any, everybody may do everything
// from then on. If it returns an error, because of a secret that CheckSecret refuses or of rights that
// there are not, t is as before. Calls and streams in progress go on.
func (t *Tokens) Set(rights map[string]Rights) error {
	if len(rights) == 0 {
		t.known.Store(nil)
		return nil
	}
	known := make(map[[sha256.Size]byte]*Rights, len(rights))
	for secret, r := range rights {
		if err := CheckSecret(secret); err != nil {
			return err
		}
		if r.May == 0 || r.May&^AllRights != 0 {
			return fmt.Errorf("a token with the rights %d: want RightGet, RightChange, RightClear and RightWatch, joined with |", r.May)
		}
		known[sha256.Sum256([]byte(secret))] = &Rights{May: r.May, Groups: slices.Clone(r.Groups)}
	}
	t.known.Store(&known)
	return nil
}

// all returns the tokens as they are now. Callers look at them once, since Set may replace them.
func (t *Tokens) all() map[[sha256.Size]byte]*Rights {
	if t == nil {
		return nil
	}
	known := t.known.Load()
	if known == nil {
		return nil
	}
	return *known
}

// Needed reports whether there are tokens. A nil t has none.
func (t *Tokens) Needed() bool { return t.all() != nil }

// CheckGroups returns an error if a token is for a group that is not there. also are names of what else is served.
func (t *Tokens) CheckGroups(caches map[string]Cache, also ...string) error {
	for _, r := range t.all() {
		for _, group := range r.Groups {
			if caches[group] == nil && !slices.Contains(also, group) {
				return fmt.Errorf("a token for the group %s: there is no such group here", quote.Key(group))
			}
		}
	}
	return nil
}

var everything = Rights{May: AllRights}

// The errors of Bearer.
var (
	errNoToken  = fmt.Errorf("%w: want authorization: Bearer TOKEN", ErrUnauthenticated)
	errBadToken = fmt.Errorf("%w: the token is not known here", ErrUnauthenticated)
)

// Bearer returns what the token in an authorization header allows: "Bearer TOKEN". Where there are no
// tokens, or t is nil, that is everything. Otherwise a header without a token, or with another one,
// is an ErrUnauthenticated.
func (t *Tokens) Bearer(header string) (*Rights, error) {
	known := t.all()
	if known == nil {
		return &everything, nil
	}
	scheme, secret, _ := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return nil, errNoToken
	}
	if r := known[sha256.Sum256([]byte(secret))]; r != nil {
		return r, nil
	}
	return nil, errBadToken
}
