-- Reads a head, or else the tombstone. Entries of the indexes that have no head are removed when their members are given.
-- KEYS head tomb fence due owned names
-- ARGV key name owned-member
redis.call('DEL', KEYS[3]) -- never there; a replica refuses it, so what is read is the primary's
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'last', 'owner', 'epoch', 'due', 'expiry', 'updated')
if h[1] then return {'head', h} end
if ARGV[1] ~= '' then
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[6], ARGV[2])
  if ARGV[3] ~= '' then redis.call('ZREM', KEYS[5], ARGV[3]) end
end
local t = redis.call('HMGET', KEYS[2], 'life', 'until', 'keys')
if t[1] then return {'tomb', t} end
return {'none'}
