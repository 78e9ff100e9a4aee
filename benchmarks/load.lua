-- Posts one body again and again, checks every answer, and prints one line of JSON.
local expect = os.getenv("EXPECT")
local threads = {}
bad = 0

function setup(thread)
  table.insert(threads, thread)
end

function init()
  local file = assert(io.open(os.getenv("BODY"), "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = file:read("*a")
  file:close()
  call = wrk.format()
end

function request()
  return call
end

function response(status, _, body)
  if status ~= 200 or not string.find(body, expect, 1, true) then bad = bad + 1 end
end

function done(summary, latency)
  local wrong = summary.errors.timeout + summary.errors.read + summary.errors.connect
  for _, thread in ipairs(threads) do wrong = wrong + (thread:get("bad") or 0) end
  io.write(string.format('{"rate": %.1f, "p50": %.3f, "p99": %.3f, "bad": %d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, wrong))
end
