-- Keeps a part of a snapshot that is not valid yet.
-- KEYS head snapshot
-- ARGV life seq nonce part data
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'xat')
if h[1] ~= ARGV[1] or tonumber(h[2]) < tonumber(ARGV[2]) then return {'conflict'} end
redis.call('HSET', KEYS[2], ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5])
if h[3] ~= '0' then redis.call('PEXPIREAT', KEYS[2], h[3]) end
return {'ok'}
