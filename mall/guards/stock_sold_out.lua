--[[ Which of some requests a gate would turn away for want of units. Changes nothing.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  KEYS[2]  leases   sorted set: token -> moment (ms) until which the lease lasts
  ARGV[1]  epoch    the gate the caller believes in
  ARGV[2..] token, quantity of each request
  Returns  {seq, units...}: for each request the units left where they are too few, else -1; who
           holds a lease is not told that nothing is left. {} where this gate can't say.
  One script, because a lease that is settled between two reads would be missed by both. ]]
local told = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'avail', 'seq')
if told[1] ~= ARGV[1] or told[2] ~= 'open' then return {} end
local avail, answer = tonumber(told[3]), {tonumber(told[4] or '0')}
for i = 2, #ARGV, 2 do
  local short = avail < tonumber(ARGV[i + 1]) and not redis.call('ZSCORE', KEYS[2], ARGV[i])
  answer[#answer + 1] = short and avail or -1
end
return answer
