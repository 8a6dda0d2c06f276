-- Deletes some of the records that the newest snapshot covers; tells whether there are more.
-- KEYS head records
-- ARGV life up-to at-most
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'sseq')
if h[1] ~= ARGV[1] or not h[3] then return {'ok'} end
local upto = math.min(tonumber(ARGV[2]), tonumber(h[3]), tonumber(h[2]) - 1)
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not first then return {'ok'} end
local step = math.min(upto, tonumber(string.match(first[1], '^%d+')) + tonumber(ARGV[3]) - 1)
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-0', step + 1))
if step < upto then return {'more'} end
return {'ok'}
