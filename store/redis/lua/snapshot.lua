-- Reads a part of the newest snapshot.
-- KEYS head snapshot fence
-- ARGV part
redis.call('DEL', KEYS[3]) -- see head.lua
local h = redis.call('HMGET', KEYS[1], 'life', 'sseq', 'snonce', 'sparts')
if not h[2] then return {'none'} end
local data = redis.call('HGET', KEYS[2], h[2] .. ':' .. h[3] .. ':' .. ARGV[1])
return {'ok', h[1], h[2], h[3], h[4], data}
