-- Removes a field of a hash.
-- KEYS hash
-- ARGV field
redis.call('HDEL', KEYS[1], ARGV[1])
return {'ok'}
