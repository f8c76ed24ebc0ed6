// Package api serves groups over HTTP, to those who do not embed them: raw bytes or JSON, with what
// HTTP's own caches need. The handler can be mounted in the mux of a Go service, below any prefix:
//
//	handler, err := api.New([]door.Cache{scores})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.Handle("/cache/", http.StripPrefix("/cache", handler))
//
// Then GET /cache/v1/scores/Tom answers the value of the key Tom of the group scores. docs/api.md has
// all requests, and openapi.yaml describes them for programs.
//
// By default whoever reaches the handler may read, change and clear all groups: see WithReadOnly,
// WithTokens and WithAuthorizer.
package api
