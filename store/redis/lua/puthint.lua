-- Keeps a hint, and drops those whose time has passed.
-- KEYS hints
-- ARGV name until value
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^-?%d+')) <= now then redis.call('HDEL', KEYS[1], all[i]) end
end
return {'ok'}
