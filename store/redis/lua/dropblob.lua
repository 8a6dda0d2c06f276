-- Deletes a blob that was not put again since it was listed.
-- KEYS blobs chunks
-- ARGV life digest written
local field = ARGV[1] .. ':' .. ARGV[2]
local kept = redis.call('HGET', KEYS[1], field)
if not kept then return {'ok'} end
local written, parts, nonce = string.match(kept, '^%d+:(%d+):(%d+):(.*)$')
if written == ARGV[3] then
  redis.call('HDEL', KEYS[1], field)
  for i = 0, tonumber(parts) - 1 do redis.call('HDEL', KEYS[2], nonce .. ':' .. i) end
end
return {'ok'}
