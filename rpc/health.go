package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// healthPrefix begins the methods that need no token.
const healthPrefix = "/grpc.health.v1.Health/"

const (
	// readyTimeout is how long the func of WithReadiness has.
	readyTimeout = 500 * time.Millisecond
	// healthEvery is how often a watched health is looked at.
	healthEvery = time.Second
)

// health answers health checks by what WithReadiness says.
type health struct {
	healthpb.UnimplementedHealthServer
	server *Server
}

// status returns the present health of all services.
func (h *health) status(ctx context.Context) healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-h.server.closing:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	if ready := h.server.opts.ready; ready != nil {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		if ready(ctx) != nil {
			return healthpb.HealthCheckResponse_NOT_SERVING
		}
	}
	return healthpb.HealthCheckResponse_SERVING
}

func known(service string) bool {
	return service == "" || service == cachepb.Cache_ServiceDesc.ServiceName
}

// Check implements healthpb.HealthServer.
func (h *health) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !known(r.GetService()) {
		return nil, status.Error(codes.NotFound, "there is no such service")
	}
	return &healthpb.HealthCheckResponse{Status: h.status(ctx)}, nil
}

// List implements healthpb.HealthServer.
func (h *health) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now := &healthpb.HealthCheckResponse{Status: h.status(ctx)}
	return &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{"": now, cachepb.Cache_ServiceDesc.ServiceName: now}}, nil
}

// Watch implements healthpb.HealthServer.
func (h *health) Watch(r *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	leave, err := h.server.watch()
	if err != nil {
		return err
	}
	defer leave()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for last := healthpb.HealthCheckResponse_UNKNOWN; ; {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if known(r.GetService()) {
			now = h.status(stream.Context())
		}
		if now != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-h.server.closing:
			if now == healthpb.HealthCheckResponse_SERVING {
				stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING})
			}
			return errClosing
		}
	}
}
