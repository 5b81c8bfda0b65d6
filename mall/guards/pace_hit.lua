--[[ Let a request pass, or say how long to wait: a bucket that refills steadily.
  KEYS[1]  due      the moment (ms) until which the bucket is used up; absent when it is full
  ARGV[1]  every_ms the time in which one request's room comes back
  ARGV[2]  burst    requests that fit into a full bucket
  Returns  {0 to pass, else the milliseconds to wait; the milliseconds until the bucket is full}.
  One script, because two requests that read together would both find the last room.
  This is GCRA, the cell rate algorithm of ITU-T I.371, with one number a caller. ]]
local every_ms, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now_ms)
local wait = due + every_ms - now_ms - every_ms * burst
if wait > 0 then return {math.ceil(wait), math.ceil(due - now_ms)} end
redis.call('SET', KEYS[1], due + every_ms, 'PX', math.ceil(due + every_ms - now_ms))
return {0, math.ceil(due + every_ms - now_ms)}
