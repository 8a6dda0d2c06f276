-- Reads a whole hash, and the server's time in milliseconds.
-- KEYS hash fence
redis.call('DEL', KEYS[2]) -- see head.lua
local t = redis.call('TIME')
return {'ok', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), redis.call('HGETALL', KEYS[1])}
