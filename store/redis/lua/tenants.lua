-- Lists the tenants of one bucket by jumping from one to the next.
-- KEYS names
local out, from = {}, '-'
while true do
  local m = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, 1)[1]
  if not m then return {'ok', out} end
  local tenant = string.sub(m, 1, string.find(m, '\0', 1, true) - 1)
  out[#out + 1] = tenant
  from = '(' .. tenant .. '\1'
end
