// Package respdoor serves data to Redis clients, by package resp: alone, or beside read-through groups.
//
//	fallback, err := respdoor.New(driver)
//	s, err := resp.New(groups, resp.WithFallback(fallback)) // groups may be nil
//	err = s.Serve(listener)
//
// A key whose prefix is that of a group is the group's, and any other one is data's. A transaction is about one or the
// other: MULTI refuses a command of the other kind.
//
// Commands of a *data.Memory write their replies into the buffer of the connection while they hold their locks, and
// read their arguments where the connection has them. Those of another driver go through its Do and Tx.
package respdoor
