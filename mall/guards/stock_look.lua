--[[ Tell how a gate stands, with its leases, at one moment.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  KEYS[2]  leases   sorted set: token -> deadline
  KEYS[3]  details  hash: token -> lease|quantity|period|member
  ARGV[1]  most     leases to tell; where there are more, none is told
  Returns  {milliseconds since 1970, epoch, avail, state, seq, number of leases, the earliest
           deadline, {token, detail, ...}}; what is absent is an empty text.
  One script, because units and leases seen apart would not add up. ]]
local gate, leases = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local fields = redis.call('HMGET', gate, 'epoch', 'avail', 'state', 'seq')
for i = 1, 4 do fields[i] = fields[i] or '' end
local number, first, told = redis.call('ZCARD', leases), '', {}
if number > 0 then first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2] end
if number > 0 and number <= tonumber(ARGV[1]) then told = redis.call('HGETALL', KEYS[3]) end
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
return {now_ms, fields[1], fields[2], fields[3], fields[4], number, first, told}
