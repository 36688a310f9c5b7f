-- Sends each request of a file once. The file: length (four bytes, little end first), request.
local requests, sent = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local data = file:read("*a")
  file:close()
  local at = 1
  while at < #data do
    local a, b, c, d = data:byte(at, at + 3)
    local size = a + 256 * (b + 256 * (c + 256 * d))
    requests[#requests + 1] = data:sub(at + 4, at + 3 + size)
    at = at + 4 + size
  end
end

function request()
  sent = sent + 1
  -- wrk can't end before its time: whoever reads the count sees that the file was too short.
  return requests[sent] or requests[#requests]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.3f,"p95":%.3f,"p99":%.3f,"failed":%d,'
      .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout,
    e.connect, e.read, e.write, e.status, e.timeout))
end
