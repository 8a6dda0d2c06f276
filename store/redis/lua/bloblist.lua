-- Lists the blobs of a life, and drops parts that were staged and left.
-- KEYS blobs chunks fence
-- ARGV life
redis.call('DEL', KEYS[3]) -- see head.lua
local t = redis.call('TIME')
local all, out, mine = redis.call('HGETALL', KEYS[1]), {}, ARGV[1] .. ':'
for i = 1, #all, 2 do
  if string.sub(all[i], 1, #mine) == mine then
    out[#out + 1] = string.sub(all[i], #mine + 1)
    out[#out + 1] = all[i + 1]
  elseif string.sub(all[i], 1, 1) == '~' then
    local since, parts = string.match(all[i + 1], '^(%d+):(%d+)$')
    if tonumber(since) < t[1] * 1000 - 3600000 then
      for p = 0, tonumber(parts) - 1 do redis.call('HDEL', KEYS[2], string.sub(all[i], 2) .. ':' .. p) end
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
return {'ok', out}
