package api

import "time"

// BodyTime and SendTime shorten the times of slow clients.

func BodyTime(d time.Duration) Option { return func(o *options) error { o.bodyTime = d; return nil } }
func SendTime(d time.Duration) Option { return func(o *options) error { o.sendTime = d; return nil } }
