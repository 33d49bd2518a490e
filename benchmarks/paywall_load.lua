-- wrk script for POST /v1/decisions. Usage, with files from benchmarks/paywall_seed.py:
--   COOKIES=cookies.txt TOKENS=tokens.txt AGENCY=bao-hung-yen MIX=0.2 wrk -t2 -c32 -d10s -s benchmarks/paywall_load.lua URL
-- MIX is the share of requests that count a new view; the rest are re-reads, entitled readers and free articles.
local function lines(path)
  local found = {}
  if path then
    for line in io.lines(path) do found[#found + 1] = line end
  end
  return found
end

local thread_number = 0
function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

local cookies, tokens, agency, mix, articles, next_view
function init()
  cookies, tokens = lines(os.getenv("COOKIES")), lines(os.getenv("TOKENS"))
  agency, mix = os.getenv("AGENCY") or "bao-hung-yen", tonumber(os.getenv("MIX") or "0.2")
  articles = tonumber(os.getenv("ARTICLES") or "500")
  math.randomseed(os.time() + number)
  next_view = number * 1000003 + math.random(1, 1000000)
end

local function question(article, cookie, token)
  local headers = { ["Content-Type"] = "application/json" }
  if cookie then headers["Cookie"] = "pr_meter=" .. cookie end
  if token then headers["Authorization"] = "Bearer " .. token end
  local body = string.format('{"agency":"%s","article_id":"%s"}', agency, article)
  return wrk.format("POST", "/v1/decisions", headers, body)
end

function request()
  local dice = math.random()
  if dice < mix then
    -- Walks through readers and articles, so that (reader, article) is new for a long time.
    next_view = next_view + 1
    local reader = next_view % #cookies
    local article = 2 + math.floor(next_view / #cookies + number * articles / 2) % (articles - 1)
    return question("bench-" .. article, cookies[reader + 1])
  elseif dice < mix + (1 - mix) * 0.5 or #tokens == 0 then
    return question("bench-1", cookies[math.random(#cookies)])
  elseif dice < mix + (1 - mix) * 0.75 then
    return question("bench-1", nil, tokens[math.random(#tokens)])
  end
  return question("bench-free", nil)
end
