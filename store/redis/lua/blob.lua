-- Reads a part of a blob.
-- KEYS blobs chunks fence
-- ARGV life digest part
redis.call('DEL', KEYS[3]) -- see head.lua
local kept = redis.call('HGET', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
if not kept then return {'none'} end
local parts, nonce = string.match(kept, '^%d+:%d+:(%d+):(.*)$')
return {'ok', parts, nonce, redis.call('HGET', KEYS[2], nonce .. ':' .. ARGV[3])}
