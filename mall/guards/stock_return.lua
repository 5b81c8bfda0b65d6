--[[ Put back the units of a redemption that was cancelled.
  KEYS[1]  gate       hash: epoch, avail, state, seq
  KEYS[2]  counts     hash: member -> units taken in the redemption's own period; may be gone
  KEYS[3]  operation  a key of this cancellation, so that it counts once however often it is told
  ARGV[1]  quantity   ARGV[2] member   ARGV[3] seconds to remember the operation
  ARGV[4]  epoch      of the reward when SQL took the units back; a later gate has them already
  Returns  1 put back, 0 known already, -1 no gate (a rebuilt one reads SQL and has it).
  One script, because remembering and putting back must not come apart. ]]
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch'))
if not epoch then return -1 end
if epoch > tonumber(ARGV[4]) then return 0 end
if not redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'avail', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'seq', 1)
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HINCRBY', KEYS[2], ARGV[2], -tonumber(ARGV[1]))
end
return 1
