--[[ Whether a gate would turn a request away for want of units. Changes nothing.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  KEYS[2]  leases   sorted set: token -> moment (ms) until which the lease lasts
  ARGV[1]  epoch    the gate the caller believes in
  ARGV[2]  token    of the request: whoever holds a lease is not to be told that nothing is left
  ARGV[3]  quantity of the request
  Returns  {seq, avail} where it is sold out; {} where it is not, or where that can't be said.
  One script, because a lease that is settled between two reads would be missed by both. ]]
local told = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'avail', 'seq')
if told[1] ~= ARGV[1] or told[2] ~= 'open' then return {} end
if tonumber(told[3]) >= tonumber(ARGV[3]) then return {} end
if redis.call('ZSCORE', KEYS[2], ARGV[2]) then return {} end
return {tonumber(told[4] or '0'), tonumber(told[3])}
