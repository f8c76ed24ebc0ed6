package resp

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"time"

	"github.com/peercache/peercache/internal/audit"
)

const defaultUser = "default"

// user is a User. Its password is kept as a digest, so that it takes the same time to compare one
// of any length.
type user struct {
	name     string
	digest   [sha256.Size]byte
	readOnly bool
}

// users are those who may use the server.
type users struct {
	all  []*user
	open *user // who everybody is if there are none
}

func newUsers(list []User) users {
	if len(list) == 0 {
		return users{open: &user{name: defaultUser}}
	}
	var us users
	for _, u := range list {
		us.all = append(us.all, &user{name: u.Name, digest: sha256.Sum256([]byte(u.Password)), readOnly: u.ReadOnly})
	}
	return us
}

// find returns the user of that name and password, or nil. It takes as long for each name and
// password.
func (us *users) find(name, password []byte) *user {
	digest := sha256.Sum256(password)
	nameDigest := sha256.Sum256(name)
	var found *user
	for _, u := range us.all {
		own := sha256.Sum256([]byte(u.name))
		if subtle.ConstantTimeCompare(own[:], nameDigest[:])&subtle.ConstantTimeCompare(u.digest[:], digest[:]) == 1 {
			found = u
		}
	}
	return found
}

// authenticate has the client be the user of that name, and replies an error if that cannot be.
func (c *Conn) authenticate(name, password []byte) bool {
	if c.s.users.open != nil { // as Redis' user "default", who has no password
		if string(name) == defaultUser {
			return true
		}
	} else if u := c.s.users.find(name, password); u != nil {
		c.session.admit(c, u)
		return true
	}
	c.s.audits.Record(audit.Unauthenticated, slog.LevelWarn, c.host(), "a client's password is wrong", slog.Uint64("client", c.id), slog.String("address", c.nc.RemoteAddr().String()))
	c.wrongPassword()
	c.Error("WRONGPASS invalid username-password pair or user is disabled.")
	return false
}

const (
	// wrongDelay is how long a client waits for the answer that its password is wrong.
	wrongDelay = 200 * time.Millisecond
	// mostWrong is how many wrong passwords a client may send. Then it is disconnected.
	mostWrong = 10
)

// wrongPassword holds up a client that tries passwords. It cannot try many at a time: its commands run
// one after another.
func (c *Conn) wrongPassword() {
	if c.wrong++; c.wrong >= mostWrong {
		c.disconnecting("it has sent too many wrong passwords")
		c.leaving = true
	}
	delay := time.NewTimer(wrongDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-c.ctx.Done():
	case <-c.s.ended:
	}
}

func cmdAuth(c *Conn, args [][]byte) {
	switch {
	case len(args) > 3:
		c.Error("ERR syntax error")
	case len(args) == 2 && c.s.users.open != nil:
		c.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	case len(args) == 2:
		if c.authenticate([]byte(defaultUser), args[1]) {
			c.OK()
		}
	default:
		if c.authenticate(args[1], args[2]) {
			c.OK()
		}
	}
}
