"""Asks the door at the address in the first argument, with the token in the second."""
import sys

import grpc
import cache_pb2
import cache_pb2_grpc


def check(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: {got!r}, want {want!r}")


channel = grpc.insecure_channel(sys.argv[1])
stub = cache_pb2_grpc.CacheStub(channel)
auth = (("authorization", "Bearer " + sys.argv[2]),)
kw = {"metadata": auth, "timeout": 20}

watch = stub.Watch(cache_pb2.WatchRequest(group="g"), metadata=auth)
first = next(watch)
check("the first message of Watch", (first.live, first.reset), (True, True))

r = stub.Get(cache_pb2.GetRequest(group="g", key=b"Tom\xff"), **kw)
check("Get", r.value, b"value of Tom\xff")
stub.Set(cache_pb2.SetRequest(group="g", key=b"k", value=b"v", ttl_ns=10**9), **kw)
check("Get after Set", stub.Get(cache_pb2.GetRequest(group="g", key=b"k"), **kw).value, b"v")
for message in watch:
    if b"k" in message.keys:
        break
stub.Remove(cache_pb2.RemoveRequest(group="g", keys=[b"k"]), **kw)
check("Get after Remove", stub.Get(cache_pb2.GetRequest(group="g", key=b"k"), **kw).value, b"value of k")
stub.Clear(cache_pb2.ClearRequest(group="g"), **kw)

values = {}
for message in stub.BatchGet(cache_pb2.BatchGetRequest(group="g", keys=[b"a", b"none", b"b"]), **kw):
    for one in message.results:
        values[one.index] = (one.code, one.value)
check("BatchGet", values, {0: (0, b"value of a"), 1: (5, b""), 2: (0, b"value of b")})

try:
    stub.Get(cache_pb2.GetRequest(group="g", key=b"none"), **kw)
    raise SystemExit("Get of what the origin lacks: no error")
except grpc.RpcError as e:
    check("Get of what the origin lacks", e.code(), grpc.StatusCode.NOT_FOUND)
try:
    stub.Get(cache_pb2.GetRequest(group="g", key=b"k"), timeout=20)
    raise SystemExit("Get without a token: no error")
except grpc.RpcError as e:
    check("Get without a token", e.code(), grpc.StatusCode.UNAUTHENTICATED)
watch.cancel()
print("ok")
