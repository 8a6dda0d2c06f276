-- Reads what the store was made with, and makes it first when asked to.
-- KEYS meta fence
-- ARGV make format buckets prefix
redis.call('DEL', KEYS[2]) -- see head.lua
local made = '0'
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[2], 'generation', '1', 'buckets', ARGV[3], 'prefix', ARGV[4])
  made = '1'
end
local m = redis.call('HMGET', KEYS[1], 'format', 'generation', 'buckets', 'prefix')
return {'ok', m[1] or '0', m[2] or '0', m[3] or '0', m[4] or '', made}
