-- The load: requests come from a file (one a line, made before the run), used in turn.
-- Prints one line of JSON at the end: what was answered, how fast, by status, how many answers match the marker, and
-- whether the file came to its end. Then it is begun again, or, where a request may be sent only once, the thread stops
-- and what it still has to send is harmless.
local requests = {}
local position = 0
local marker = nil
local once = false
local harmless = nil
local threads = {}

function setup(thread)
  thread:set("index", #threads)
  table.insert(threads, thread)
end

local function unescape(text)
  return (text:gsub("\\([nrt\"\\/])", { n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }))
end

function init(args)
  -- args[1]: file of requests: method TAB path TAB header lines joined by "|" TAB body
  -- args[2]: pattern; answers whose body has it are counted; empty: none
  -- args[3]: "once" when no request may be sent twice
  marker = args[2] ~= "" and args[2] or nil
  once = args[3] == "once"
  harmless = wrk.format("GET", "/healthz")
  for line in io.lines(args[1]) do
    local method, path, headers, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
    local fields = {}
    for name, value in headers:gmatch("([^:|]+):%s?([^|]*)") do
      fields[name] = value
    end
    if body == "" then
      body = nil
    elseif body:find("\\", 1, true) then
      body = unescape(body)
    end
    table.insert(requests, wrk.format(method, path, fields, body))
  end
  ok = 0
  refused = 0
  marked = 0
  wrapped = 0
end

function request()
  position = position + 1
  if position > #requests then
    wrapped = wrapped + 1
    if once then
      wrk.thread:stop()
      return harmless
    end
    position = 1
  end
  return requests[position]
end

function response(status, _, body)
  if status >= 200 and status < 400 then ok = ok + 1 else refused = refused + 1 end
  if marker and body:find(marker) then marked = marked + 1 end
end

function done(summary, latency, _)
  local good, bad, counted, rounds = 0, 0, 0, 0
  for _, thread in ipairs(threads) do
    good = good + thread:get("ok")
    bad = bad + thread:get("refused")
    counted = counted + thread:get("marked")
    rounds = rounds + thread:get("wrapped")
  end
  io.write(string.format(
    'RESULT {"requests": %d, "ok": %d, "refused": %d, "marked": %d, "wrapped": %d, "socket_errors": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d}\n',
    summary.requests, good, bad, counted, rounds,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99), latency.max))
end
