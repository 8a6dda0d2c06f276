-- Makes a snapshot the newest one. Its parts are given here, when there is one, or were staged.
-- KEYS head snapshot
-- ARGV life seq nonce parts [data]
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'sseq', 'xat')
local seq = tonumber(ARGV[2])
if h[1] ~= ARGV[1] or tonumber(h[2]) < seq then return {'conflict'} end
if h[3] and tonumber(h[3]) > seq then return {'ok'} end
local mine = ARGV[2] .. ':' .. ARGV[3] .. ':'
if ARGV[5] then
  redis.call('HSET', KEYS[2], mine .. '0', ARGV[5])
else
  for i = 0, tonumber(ARGV[4]) - 1 do
    if redis.call('HEXISTS', KEYS[2], mine .. i) == 0 then return {'missing'} end
  end
end
redis.call('HSET', KEYS[1], 'sseq', ARGV[2], 'snonce', ARGV[3], 'sparts', ARGV[4])
for _, f in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(f, 1, #mine) ~= mine and tonumber(string.match(f, '^%d+')) <= seq then redis.call('HDEL', KEYS[2], f) end
end
if h[4] ~= '0' then redis.call('PEXPIREAT', KEYS[2], h[4]) end
return {'ok'}
