-- Adds a record and moves the head, iff the head is where the writer thinks.
-- KEYS head records snapshot blobs chunks tomb due owned names
-- ARGV life len last | life seq id data | owner epoch due expiry | owned-member key name end channel
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'last', 'ag')
local fresh = not h[1]
local life, len, last = h[1], h[2], h[3]
if fresh then
  life, len, last = redis.call('HGET', KEYS[6], 'life') or '0', '0', ''
end
if life ~= ARGV[1] or len ~= ARGV[2] or last ~= ARGV[3] then return {'conflict'} end
if fresh and redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then redis.call('UNLINK', KEYS[2], KEYS[3]) end
-- The first write: what the server refuses (memory, replicas, its role), it refuses here, before anything has changed.
redis.call('XADD', KEYS[2], ARGV[5] .. '-0', 'i', ARGV[6], 'd', ARGV[7])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if fresh then
  redis.call('UNLINK', KEYS[6])
  redis.call('ZADD', KEYS[9], 0, ARGV[14])
else
  if h[4] and h[4] ~= '' then redis.call('ZREM', KEYS[8], h[4]) end
end
local xat = '0'
if ARGV[15] ~= '0' and tonumber(ARGV[11]) > now then xat = ARGV[15] end
redis.call('HSET', KEYS[1], 'life', ARGV[4], 'len', ARGV[5], 'last', ARGV[6], 'owner', ARGV[8], 'epoch', ARGV[9],
  'due', ARGV[10], 'expiry', ARGV[11], 'ag', ARGV[12], 'xat', xat, 'updated', string.format('%.0f', now))
if ARGV[12] ~= '' then redis.call('ZADD', KEYS[8], 0, ARGV[12]) end
if ARGV[8] == '' and ARGV[10] ~= '0' then
  redis.call('ZADD', KEYS[7], ARGV[10], ARGV[13])
else
  redis.call('ZREM', KEYS[7], ARGV[13])
end
for i = 1, 5 do
  if xat == '0' then redis.call('PERSIST', KEYS[i]) else redis.call('PEXPIREAT', KEYS[i], xat) end
end
redis.pcall('PUBLISH', ARGV[16], '1')
return {'ok'}
