-- wrk: posts one small task again and again; the last line is the outcome as JSON. The token comes by the environment.
wrk.method = "POST"
wrk.path = "/api/v1/tasks"
wrk.body = '{"kind":"system.echo","args":{"hello":"world","number":42}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("BENCH_TOKEN") or "none")

function done(summary, latency, requests)
    local errors = summary.errors
    local lost = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format(
        '\n{"per_second": %.0f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "requests": %d, "refused": %d, "lost": %d}\n',
        summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        latency.max / 1e3, summary.requests, errors.status, lost))
end
