-- Keeps a blob, or moves the time of one that is kept already.
-- KEYS head tomb blobs chunks
-- ARGV life life-before digest size parts nonce mode part data
-- mode: touch (only if it is there), inline (the one part is given), stage (a part of several), commit (all are staged)
local h = redis.call('HMGET', KEYS[1], 'life', 'xat')
if h[1] then
  if h[1] ~= ARGV[1] then return {'conflict'} end
elseif (redis.call('HGET', KEYS[2], 'life') or '0') ~= ARGV[2] then
  return {'conflict'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local field, nonce, mode = ARGV[1] .. ':' .. ARGV[3], ARGV[6], ARGV[7]
local kept = redis.call('HGET', KEYS[3], field)
if kept then
  local size, written, rest = string.match(kept, '^(%d+):(%d+):(.*)$')
  now = math.max(now, tonumber(written) + 1) -- so that who listed it before can tell
  redis.call('HSET', KEYS[3], field, size .. ':' .. string.format('%.0f', now) .. ':' .. rest)
  if redis.call('HDEL', KEYS[3], '~' .. nonce) > 0 then
    for i = 0, tonumber(ARGV[5]) - 1 do redis.call('HDEL', KEYS[4], nonce .. ':' .. i) end
  end
elseif mode == 'touch' then
  return {'missing'}
elseif mode == 'stage' then
  redis.call('HSET', KEYS[4], nonce .. ':' .. ARGV[8], ARGV[9])
  redis.call('HSET', KEYS[3], '~' .. nonce, string.format('%.0f', now) .. ':' .. ARGV[5])
else
  if mode == 'inline' then
    redis.call('HSET', KEYS[4], nonce .. ':0', ARGV[9])
  else
    for i = 0, tonumber(ARGV[5]) - 1 do
      if redis.call('HEXISTS', KEYS[4], nonce .. ':' .. i) == 0 then return {'missing'} end
    end
  end
  redis.call('HSET', KEYS[3], field, ARGV[4] .. ':' .. string.format('%.0f', now) .. ':' .. ARGV[5] .. ':' .. nonce)
  redis.call('HDEL', KEYS[3], '~' .. nonce)
end
for i = 3, 4 do
  if not h[1] then
    redis.call('PEXPIRE', KEYS[i], 86400000) -- until the first record of its session makes it stay
  elseif h[2] ~= '0' then
    redis.call('PEXPIREAT', KEYS[i], h[2])
  end
end
return {'ok'}
