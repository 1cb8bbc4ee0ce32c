-- What each connection of wrk asks for, and how it sees that no byte goes missing uncounted.
--
-- Run with as many threads as connections: then a thread's requests and answers take turns.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

function init(args)
  mode = args[1]
  local sids = {}
  for sid in os.getenv("SIDS"):gmatch("%x+") do sids[#sids + 1] = sid end
  output = "/api/sdk/processes/" .. sids[number % #sids + 1] .. "/output"
  headers = { Authorization = "Bearer " .. os.getenv("TOKEN") }
  cursor, polls, read, missed, gaps, wrong, failed = "0", 0, 0, 0, 0, 0, 0
end

function request()
  if mode == "health" then return wrk.format("GET", "/healthz") end
  -- Ahead of all there is: an answer without chunks.
  if mode == "idle" then return wrk.format("GET", output .. "?since=9000000000000000000", headers) end
  return wrk.format("GET", output .. "?wait_ms=1000&since=" .. cursor, headers)
end

function response(status, _, body)
  if status ~= 200 then
    failed = failed + 1
    return
  end
  if mode ~= "follow" then return end
  polls = polls + 1
  local tail = body:sub(-600)
  local lost = tonumber(tail:match('"missed_bytes":(%d+)'))
  local before = tonumber(cursor:match("%.(%d+)")) or 0
  cursor = tail:match('"cursor":"([%d.]+)"')
  local after = tonumber(cursor:match("%.(%d+)"))
  local first = tonumber(body:match('"offset":(%d+)'))
  -- Where the last answer ended, or behind what this one says was missed, its chunks begin.
  if before + lost ~= (first or after) then wrong = wrong + 1 end
  missed = missed + lost
  if lost > 0 then gaps = gaps + 1 end
  read = read + after - (first or after)
end

function done(summary, latency)
  local sum = { polls = 0, read = 0, missed = 0, gaps = 0, wrong = 0, failed = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + thread:get(name) end
  end
  local errors = summary.errors
  sum.failed = sum.failed + errors.connect + errors.read + errors.write + errors.timeout
  io.write("RESULT {")
  for name, value in pairs(sum) do io.write(string.format('"%s":%.0f,', name, value)) end
  io.write(string.format(
    '"requests":%d,"seconds":%.3f,"bytes":%.0f,"p50":%.3f,"p99":%.3f}\n', summary.requests,
    summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
