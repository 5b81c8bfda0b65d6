--[[ Correct a gate's units by what they were found to be off.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  ARGV[1]  epoch    ARGV[2] seq: the gate as it was when it was compared with SQL
  ARGV[3]  units    to add; below zero, to take away
  Returns  1 corrected, 0 the gate has moved since: it must be compared again.
  One script, because a unit that moves between the look and the correction would count twice. ]]
local epoch, seq, state = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'state'))
if epoch ~= ARGV[1] or seq ~= ARGV[2] or state ~= 'open' then return 0 end
redis.call('HINCRBY', KEYS[1], 'avail', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'seq', 1)
return 1
