-- Raises the generation.
-- KEYS meta
redis.call('HINCRBY', KEYS[1], 'generation', 1)
return {'ok'}
