package redistest

import (
	"net"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/resp/codec"
)

// subscriber is a client of a redis-server that gets the events of keys.
type subscriber struct{ server }

const eventPattern = "__keyevent@0__:*"

// subscribe has a redis-server tell of events. Those of keys that expire come at any time.
func (s *server) subscribe() *subscriber {
	s.do("CONFIG", "SET", "notify-keyspace-events", "AE")
	conn, err := net.Dial(s.conn.RemoteAddr().Network(), s.conn.RemoteAddr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	sub := &subscriber{server{t: s.t, conn: conn, replies: codec.NewReplies(conn)}}
	sub.do("PSUBSCRIBE", eventPattern)
	return sub
}

// events returns the events of the commands that were replied since the last call.
func (s *subscriber) events() (events []string) {
	for m := s.do("PING"); m.List[0].Text != "pong"; m = s.read() {
		if event, key := m.List[2].Text, m.List[3].Text; !strings.HasSuffix(event, ":expired") {
			events = append(events, event[len(eventPattern)-1:]+" "+key)
		}
	}
	return events
}

// event takes an event of the engine that redis-server tells of as well.
func (l *local) event(class engine.Class, event, key string) {
	if class&(engine.EventNew|engine.EventExpired|engine.EventEvicted|engine.EventChannel) == 0 && event != "flushdb" {
		l.events = append(l.events, event+" "+key)
	}
}

// eventsDiffer returns how the events of the last command differ, or "".
func (p *Pair) eventsDiffer() string {
	want, got := p.sub.events(), p.ours.events
	p.ours.events = nil
	if !slices.Equal(want, got) {
		return "its events\n\tours:  " + strings.Join(got, ", ") + "\n\tRedis: " + strings.Join(want, ", ")
	}
	return ""
}
