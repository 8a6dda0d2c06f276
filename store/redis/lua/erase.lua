-- Deletes a session and leaves its tombstone, iff the head is where the caller thinks.
-- KEYS head records snapshot blobs chunks tomb due owned names
-- ARGV life len last | key name | until keys | channel
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'last', 'ag')
local life, len, last = h[1], h[2], h[3]
if not life then
  life, len, last = redis.call('HGET', KEYS[6], 'life') or '0', '0', ''
end
if life ~= ARGV[1] or len ~= ARGV[2] or last ~= ARGV[3] then return {'conflict'} end
-- Deleting comes first: a server that is out of memory refuses everything else.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[4])
redis.call('ZREM', KEYS[9], ARGV[5])
if h[4] and h[4] ~= '' then redis.call('ZREM', KEYS[8], h[4]) end
redis.call('HSET', KEYS[6], 'life', ARGV[1], 'until', ARGV[6], 'keys', ARGV[7])
local t = redis.call('TIME')
local at = math.max(tonumber(ARGV[6]), t[1] * 1000 + 3600000)
redis.call('PEXPIREAT', KEYS[6], string.format('%.0f', at))
redis.pcall('PUBLISH', ARGV[8], '1')
return {'ok'}
