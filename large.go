package peercache

import "context"

// crowded implements linkedPeer.
func (h *httpPeer) crowded() bool {
	if h.link == nil {
		return false
	}
	l := h.link.ready()
	return l != nil && !l.HasRoom()
}

// getLarge implements linkedPeer. Values that are large are asked for a few at a time, or
// a GetMulti of many would open a connection and take memory for each at once. What a load
// waits for does not wait here: its turn might be held by one that waits for the load.
func (h *httpPeer) getLarge(ctx context.Context, q *Query) (Answer, error) {
	if q.Nested == TopLevel {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
	return h.getPlain(ctx, q)
}
