-- Sets a field of a hash.
-- KEYS hash
-- ARGV field value
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {'ok'}
