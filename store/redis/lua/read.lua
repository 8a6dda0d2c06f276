-- Reads a head and a page of records.
-- KEYS head tomb fence records
-- ARGV first-number count bytes barrier
redis.call('DEL', KEYS[3]) -- see head.lua
if ARGV[4] == '1' then redis.call('SET', KEYS[3], '1', 'PX', '60000') end -- something for WAIT to wait for
local h = redis.call('HMGET', KEYS[1], 'life', 'len', 'last', 'owner', 'epoch', 'due', 'expiry', 'updated')
if not h[1] then
  local t = redis.call('HMGET', KEYS[2], 'life', 'until', 'keys')
  if t[1] then return {'tomb', t} end
  return {'none'}
end
local count, room, out = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
local from = ARGV[1] .. '-0'
while count > 0 and room > 0 do
  local page = redis.call('XRANGE', KEYS[4], from, '+', 'COUNT', math.min(count, 16))
  if #page == 0 then break end
  for _, e in ipairs(page) do
    out[#out + 1] = {e[1], e[2][2], e[2][4]}
    count, room = count - 1, room - #e[2][4]
    from = '(' .. e[1]
    if room <= 0 then break end
  end
end
local first = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)
return {'head', h, out, first[1] and first[1][1] or ''}
