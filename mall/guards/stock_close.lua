--[[ Close a gate that is not to be trusted, unless a newer one has taken its place.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  ARGV[1]  epoch    of the gate that is not trusted
  Returns  1 closed, 0 another gate is there or none.
  One script, because a gate that was rebuilt meanwhile must stay open. ]]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'closed')
return 1
