-- Reads the oldest entry of a stream that was not handed out.
--
-- KEYS[1]     the stream
-- ARGV[1]     the consumer group
--
-- Answers as XRANGE does. Entries up to the group's last delivered id were handed out by a blocking read and are deleted by the next fetch.

local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then
  if string.find(groups.err, 'no such key', 1, true) then
    return {}
  end
  return groups
end

local first = '-'
for _, facts in ipairs(groups) do
  local group = {}
  for i = 1, #facts, 2 do
    group[facts[i]] = facts[i + 1]
  end
  if group['name'] == ARGV[1] then
    first = '(' .. group['last-delivered-id']
  end
end
return redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', 1)
