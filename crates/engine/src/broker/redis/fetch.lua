-- Takes references for one worker, band by band, without waiting, and deletes from the streams what has been handed out.
--
-- KEYS        the streams, most urgent band first; in each band one per queue, in the order of their turn
-- ARGV[1]     the consumer group
-- ARGV[2]     the consumer
-- ARGV[3]     at most so many in all
-- ARGV[4]     so many of them go to bands below the first one that has work, if they have work
-- ARGV[5]     '1' if the lowest band comes first for these, '0' if the middle one does
-- ARGV[6..]   at most so many of each queue
--
-- Answers one flat array for each stream that gave something: its index in KEYS from 0, then the payloads.

local group, consumer = ARGV[1], ARGV[2]
local max, owed = tonumber(ARGV[3]), tonumber(ARGV[4])
local queues = #ARGV - 5
local bands = #KEYS / queues

local room = {}
for queue = 1, queues do
  room[queue] = tonumber(ARGV[5 + queue])
end

local dry = {}
local answer = {}
local left = max

local function read(key, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'NOACK', 'STREAMS', key, '>')
  if reply and reply.err and string.sub(reply.err, 1, 8) == 'NOGROUP ' then
    redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')
    reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'NOACK', 'STREAMS', key, '>')
  end
  return reply
end

-- Deletes what this and earlier reads have handed out, also by blocking reads, which delete nothing themselves. A read that got less than it asked
-- for has left nothing; otherwise everything up to its last entry has been handed out.
local function trim(key, entries, is_dry)
  if is_dry then
    redis.call('XTRIM', key, 'MAXLEN', 0)
  else
    local time, number = string.match(entries[#entries][1], '^(%d+)-(%d+)$')
    redis.call('XTRIM', key, 'MINID', time .. '-' .. string.format('%.0f', number + 1))
  end
end

-- Reads up to `count` of one stream into the answer; tells how many came, or an error.
local function draw(index, queue, count)
  local reply = read(KEYS[index], count)
  if reply and reply.err then
    return 0, reply
  end
  local entries = reply and reply[1][2] or {}
  local came = #entries
  if came < count then
    dry[index] = true
  end
  trim(KEYS[index], entries, came < count)
  if came > 0 then
    local flat = { index - 1 }
    for i = 1, came do
      local entry = entries[i]
      flat[i + 1] = entry[2] and entry[2][2] or ''
    end
    answer[#answer + 1] = flat
    room[queue] = room[queue] - came
    left = left - came
  end
  return came
end

-- Takes up to `count` of one band, the queues sharing it evenly, and what one leaves goes to the others.
local function take(band, count)
  local taken = 0
  local again = true
  while again and taken < count do
    again = false
    local open = 0
    for queue = 1, queues do
      if room[queue] > 0 and not dry[(band - 1) * queues + queue] then
        open = open + 1
      end
    end
    for queue = 1, queues do
      local index = (band - 1) * queues + queue
      if room[queue] > 0 and not dry[index] and taken < count then
        local share = math.min(room[queue], math.ceil((count - taken) / open))
        open = open - 1
        local came, failure = draw(index, queue, share)
        if failure then
          return taken, failure
        end
        taken = taken + came
        again = again or came == share
      end
    end
  end
  return taken
end

local top
for band = 1, bands do
  local taken, failure = take(band, left - owed)
  if failure then
    return failure
  end
  if taken > 0 and not top then
    top = band
  end
end

if owed > 0 and left > 0 then
  local order = ARGV[5] == '1' and { bands, bands - 1 } or { bands - 1, bands }
  local first = math.ceil(owed / 2)
  for _, step in ipairs({ { order[1], first }, { order[2], owed - first }, { order[1], owed }, { order[2], owed } }) do
    local band, count = step[1], math.min(step[2], owed, left)
    if count > 0 and (not top or band > top) then
      local taken, failure = take(band, count)
      if failure then
        return failure
      end
      owed = owed - taken
    end
  end
  for band = 1, bands do
    local _, failure = take(band, left)
    if failure then
      return failure
    end
  end
end

return answer
