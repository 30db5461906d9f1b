-- What Redis does with the claims of replicas. `src/quota/shared/mod.rs` says what a claim means.
--
-- Three hashes for each account, all of one cluster slot:
--   KEYS[1]  ':<replica>' -> what that replica claimed last; '@' -> the account itself
--   KEYS[2]  't<window>' -> usage of everybody, 'c<length of window>:<window><replica>' -> of one replica
--   KEYS[3]  ':<replica>' -> replicas that have been silent for ten minutes, out of the way of every claim
--
-- The account:  {run id of the server, recovering until, expires at}
-- A replica:    {version, heard at, lease, dead (0 or 1), windows...}, each window being STRIDE values
-- A usage:      sums, then entries in the order of their starts, as a binary string: a claim touches its
--               end and now and then its beginning, so nothing is decoded that did not change.
--
-- Everything is read and computed before the first write: an error half way changes nothing.

local call = redis.call
local tonumber, unpack, pairs, ipairs = tonumber, unpack, pairs, ipairs
local floor, max, min = math.floor, math.max, math.min
local spack, sunpack = struct.pack, struct.unpack
local sub = string.sub
local mpack, munpack = cmsgpack.pack, cmsgpack.unpack

local DAY = 86400000
local HOUR = 3600000
local FOREVER = 400 * DAY
-- A dead replica is put out of the way after this long: gateways take another id for each start.
local FORGET = 10 * 60000
-- The keys' expiry is moved when it would move by more than this.
local MOVE = 60000

-- A window of a replica's record. Behind ID: KIND, A, B, four held, four of credit, in flight, and the ghost:
-- the start where credit of a dead replica was counted as used, and the four numbers of it.
local ID, KIND, A, B, HELD, CREDIT, IN_FLIGHT, GHOST = 0, 1, 2, 3, 4, 8, 12, 13
local STRIDE, FIRST = 18, 5

-- A window of a claim: A, B, four caps (-1 for none), four held, four wished, in flight.
local CLAIM = '>ddddddddddddddd'

-- ## Usage: a binary string of sums and entries

local HEAD, ENTRY = 32, 40
local EMPTY = spack('>dddd', 0, 0, 0, 0)

-- Where the entry of `start` is, or where it would go; and whether it is there.
local function find(usage, start)
  local at = #usage - ENTRY + 1
  while at > HEAD do
    local found = sunpack('>d', usage, at)
    if found == start then return at, true end
    if found < start then return at + ENTRY, false end
    at = at - ENTRY
  end
  return HEAD + 1, false
end

local function entry(usage, start)
  local at, there = find(usage, start)
  if not there then return 0, 0, 0, 0 end
  local _, r, t, i, o = sunpack('>ddddd', usage, at)
  return r, t, i, o
end

-- Adds to the entry of `start`, and makes it where `create` says so.
local function add(usage, start, r, t, i, o, create)
  local at, there = find(usage, start)
  local rest = at
  local r1, t1, i1, o1 = 0, 0, 0, 0
  if there then
    local _
    _, r1, t1, i1, o1 = sunpack('>ddddd', usage, at)
    rest = at + ENTRY
  elseif not create then
    return usage
  end
  local r0, t0, i0, o0 = sunpack('>dddd', usage)
  return spack('>dddd', r0 + r, t0 + t, i0 + i, o0 + o)
    .. sub(usage, HEAD + 1, at - 1)
    .. spack('>ddddd', start, r1 + r, t1 + t, i1 + i, o1 + o)
    .. sub(usage, rest)
end

-- Without the entries that start before `limit`.
local function drop(usage, limit)
  local size = #usage
  if size <= HEAD or sunpack('>d', usage, HEAD + 1) >= limit then return usage end
  local r, t, i, o = sunpack('>dddd', usage)
  local at = HEAD + 1
  while at <= size do
    local start, r1, t1, i1, o1 = sunpack('>ddddd', usage, at)
    if start >= limit then break end
    r, t, i, o = r - r1, t - t1, i - i1, o - o1
    at = at + ENTRY
  end
  return spack('>dddd', r, t, i, o) .. sub(usage, at)
end

-- The oldest start of a fixed window that is kept once `start` is claimed: the one before it, into which
-- requests that began there may still settle.
local function oldest(usage, start)
  local at = #usage - ENTRY + 1
  while at > HEAD do
    local found = sunpack('>d', usage, at)
    if found < start then return found end
    at = at - ENTRY
  end
  return nil
end

-- What counts against the caps of a window.
local function counted(usage, kind, a)
  if kind == 'F' then return entry(usage, a) end
  return sunpack('>dddd', usage)
end

-- ## The account

local records, departed = {}, {}
local changed, usages, fresh = {}, {}, {}
local account
local time

local function own_field(id, replica)
  return 'c' .. #id .. ':' .. id .. replica
end

local function usage(field)
  local got = usages[field]
  if not got then
    got = call('HGET', KEYS[2], field) or EMPTY
    usages[field] = got
  end
  return got
end

local function put_usage(field, to)
  if usages[field] ~= to then
    usages[field] = to
    fresh[field] = true
  end
end

local function open()
  local now = call('TIME')
  time = now[1] * 1000 + floor(now[2] / 1000)
  local all = call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    local field = all[at]
    if field == '@' then
      account = munpack(all[at + 1])
    else
      records[field:sub(2)] = munpack(all[at + 1])
    end
  end
end

-- The record of a replica, also of one that was put out of the way.
local function record_of(replica)
  local found = records[replica]
  if not found then
    local stored = call('HGET', KEYS[3], ':' .. replica)
    if stored then
      found = munpack(stored)
      records[replica] = found
      departed[replica] = 'back'
    end
  end
  return found
end

local function recover(until_)
  if until_ > account[2] then
    account[2] = until_
    changed['@'] = true
  end
end

-- Notices that the server is another than at the last claim. A server that has just begun to run may have lost
-- everything, so that an account nobody has seen on it waits as well.
local function notice(run, started, grace)
  if not account then
    account = { run, 0, 0 }
    changed['@'] = true
    if started + grace > time then recover(started + grace) end
    return false
  end
  if account[1] ~= run then
    account[1] = run
    changed['@'] = true
    recover(time + grace)
    -- Nobody could be heard while there was no server.
    for replica, record in pairs(records) do
      if record[4] == 0 then
        record[2] = time
        changed[replica] = true
      end
    end
  end
  return true
end

-- Credit may have been spent up to the last moment, so that it counts as used; what is held comes back.
local function bury(replica, record)
  for w = FIRST, #record, STRIDE do
    local kind, c = record[w + KIND], w + CREDIT
    local r, t, i, o = record[c], record[c + 1], record[c + 2], record[c + 3]
    if kind ~= 'S' and (r > 0 or t > 0 or i > 0 or o > 0) then
      local start = record[w + A]
      if kind == 'R' then start = time - time % record[w + B] end
      local field = 't' .. record[w + ID]
      put_usage(field, add(usage(field), start, r, t, i, o, true))
      local g = w + GHOST
      record[g], record[g + 1], record[g + 2], record[g + 3], record[g + 4] = start, r, t, i, o
    end
    for unit = 0, 3 do
      record[w + HELD + unit] = 0
      record[c + unit] = 0
    end
    record[w + IN_FLIGHT] = 0
  end
  record[4] = 1
  changed[replica] = true
end

-- Takes back what `bury` counted as used; where the entry has expired meanwhile there is nothing to take back.
local function dig_up(record)
  for w = FIRST, #record, STRIDE do
    local g = w + GHOST
    local r, t, i, o = record[g + 1], record[g + 2], record[g + 3], record[g + 4]
    if r > 0 or t > 0 or i > 0 or o > 0 then
      local field = 't' .. record[w + ID]
      put_usage(field, add(usage(field), record[g], -r, -t, -i, -o, false))
      record[g + 1], record[g + 2], record[g + 3], record[g + 4] = 0, 0, 0, 0
    end
  end
end

-- The start before which a rolling window has forgotten.
local function forgotten(a, b)
  return time - a - b + 1
end

local function sweep(except)
  for replica, record in pairs(records) do
    if replica ~= except then
      local silent = time - record[2]
      if record[4] == 0 then
        if silent > record[3] then bury(replica, record) end
      elseif silent > FORGET and not departed[replica] then
        departed[replica] = 'gone'
        for w = FIRST, #record, STRIDE do
          if record[w + KIND] == 'R' then
            local field = own_field(record[w + ID], replica)
            put_usage(field, drop(usage(field), forgotten(record[w + A], record[w + B])))
          end
        end
      end
    end
  end
end

local function store(expires)
  local moved = expires > account[3] + MOVE
  if moved then
    account[3] = expires
    changed['@'] = true
  end
  for replica, how in pairs(departed) do
    if how == 'gone' then
      call('HSET', KEYS[3], ':' .. replica, mpack(records[replica]))
      call('PEXPIREAT', KEYS[3], account[3])
      call('HDEL', KEYS[1], ':' .. replica)
      changed[replica] = nil
    elseif changed[replica] then
      call('HDEL', KEYS[3], ':' .. replica)
    end
  end
  local write = {}
  for replica in pairs(changed) do
    if replica == '@' then
      write[#write + 1] = '@'
      write[#write + 1] = mpack(account)
    else
      write[#write + 1] = ':' .. replica
      write[#write + 1] = mpack(records[replica])
    end
  end
  for at = 1, #write, 1000 do
    call('HSET', KEYS[1], unpack(write, at, min(at + 999, #write)))
  end
  write = {}
  for field in pairs(fresh) do
    write[#write + 1] = field
    write[#write + 1] = usages[field]
  end
  local new = 0
  for at = 1, #write, 1000 do
    new = new + call('HSET', KEYS[2], unpack(write, at, min(at + 999, #write)))
  end
  if moved then
    call('PEXPIREAT', KEYS[1], account[3])
    call('PEXPIREAT', KEYS[3], account[3])
  end
  if moved or new > 0 then call('PEXPIREAT', KEYS[2], account[3]) end
end

-- ## What a client may ask

local function exchange()
  local replica, version = ARGV[2], tonumber(ARGV[3])
  local acked, acked_until, whole = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
  local grace, lease, count = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  open()
  notice(ARGV[7], tonumber(ARGV[8]), grace)
  local own = record_of(replica)
  local stored = own and own[1] or 0

  -- Whoever knows of a claim that is not here found the loss: until everybody had the time to say again what
  -- was used, nobody gets more. What has expired by its own time is no loss.
  local lost = stored < acked and (own ~= nil or time < acked_until)
  if lost then recover(time + grace) end
  local refused = lost and not whole
  local applies = not refused and version > stored
  local recovering = time < account[2]
  if applies then
    sweep(replica)
    if own and own[4] == 1 then dig_up(own) end
  else
    sweep(nil)
  end

  -- All usages of the windows at once.
  local claimed, index, fields = {}, {}, {}
  for n = 1, count do
    local id = ARGV[4 * n + 8]
    claimed[n] = { sunpack(CLAIM, ARGV[4 * n + 10]) }
    index[id] = n
    fields[2 * n - 1] = 't' .. id
    fields[2 * n] = own_field(id, replica)
  end
  if count > 0 then
    local got = call('HMGET', KEYS[2], unpack(fields))
    for n, field in ipairs(fields) do
      if not usages[field] then usages[field] = got[n] or EMPTY end
    end
  end

  -- What live replicas hold besides.
  local live, others = 1, {}
  for n = 1, count do others[n] = { 0, 0, 0, 0, 0, 0, 0, 0, 0 } end
  for name, record in pairs(records) do
    if name ~= replica and record[4] == 0 then
      live = live + 1
      for w = FIRST, #record, STRIDE do
        local n = index[record[w + ID]]
        if n then
          local kind = record[w + KIND]
          if kind == ARGV[4 * n + 9] and (kind ~= 'F' or record[w + A] == claimed[n][1]) then
            local sum = others[n]
            for k = 1, 9 do sum[k] = sum[k] + record[w + HELD - 1 + k] end
          end
        end
      end
    end
  end

  local record = { version, time, lease, 0 }
  local reply = { time, live, recovering and 1 or 0, refused and 1 or 0, applies and version or stored, 0 }
  local expires = time + DAY
  for n = 1, count do
    local claim = claimed[n]
    local id, kind, a, b = ARGV[4 * n + 8], ARGV[4 * n + 9], claim[1], claim[2]
    local all, mine = usages[fields[2 * n - 1]], usages[fields[2 * n]]
    local stale = false
    local limit
    if kind == 'F' then
      stale = time < a or time >= b
      if not stale then limit = oldest(all, a) end
      expires = max(expires, b + DAY)
    elseif kind == 'R' then
      limit = forgotten(a, b)
      expires = max(expires, time + 2 * a + HOUR)
    elseif kind == 'E' then
      expires = max(expires, time + FOREVER)
    end
    if limit then all, mine = drop(all, limit), drop(mine, limit) end

    -- The window as this replica claimed it before, where it still is the same one.
    local before
    if own then
      for w = FIRST, #own, STRIDE do
        if own[w + ID] == id and own[w + KIND] == kind and (kind ~= 'F' or own[w + A] == a) then before = w end
      end
    end

    local r0, t0, i0, o0 = counted(mine, kind, a)
    if applies and kind ~= 'S' then
      local said = ARGV[4 * n + 11]
      for u = 1, #said, ENTRY do
        local start, r, t, i, o = sunpack('>ddddd', said, u)
        if not limit or start >= limit then
          local r1, t1, i1, o1 = entry(mine, start)
          r, t, i, o = r - r1, t - t1, i - i1, o - o1
          if r ~= 0 or t ~= 0 or i ~= 0 or o ~= 0 then
            mine = add(mine, start, r, t, i, o, true)
            all = add(all, start, r, t, i, o, true)
          end
        end
      end
    end
    put_usage(fields[2 * n - 1], all)
    put_usage(fields[2 * n], mine)

    local used = { counted(all, kind, a) }
    local own_used = { counted(mine, kind, a) }
    local own_before = { r0, t0, i0, o0 }
    local sum = others[n]
    local w = #record + 1
    record[w + ID], record[w + KIND], record[w + A], record[w + B] = id, kind, a, b
    for unit = 1, 4 do
      local cap, held, wish = claim[2 + unit], claim[6 + unit], claim[10 + unit]
      local granted, credit = 0, 0
      if not applies then
        -- A late or repeated claim is told what it has.
        if before and not refused and not stale then granted = own[before + CREDIT - 1 + unit] end
      elseif stale then
        granted = 0
      elseif cap < 0 then
        granted = wish
      else
        local room = cap - used[unit] - sum[unit] - sum[4 + unit] - held
        if recovering then
          -- What was ours and is not spent yet stays ours: others count it already.
          local kept = 0
          if before and not lost then
            kept = own[before + CREDIT - 1 + unit] + own[before + HELD - 1 + unit] + own_before[unit]
              - held - own_used[unit]
          end
          room = min(room, kept)
        end
        granted = max(0, min(wish, room))
        credit = granted
      end
      record[w + HELD - 1 + unit] = held
      record[w + CREDIT - 1 + unit] = credit
      used[unit] = used[unit] - own_used[unit]
      others[n][9 + unit] = granted
    end
    record[w + IN_FLIGHT] = claim[15]
    for g = w + GHOST, w + STRIDE - 1 do record[g] = 0 end

    local to = #reply + 1
    reply[to] = stale and 1 or 0
    for unit = 1, 4 do
      reply[to + unit] = sum[9 + unit]
      reply[to + 4 + unit] = used[unit]
      reply[to + 8 + unit] = sum[unit]
      reply[to + 12 + unit] = sum[4 + unit]
    end
    reply[to + 17] = sum[9]
  end

  if applies then
    records[replica] = record
    changed[replica] = true
  end
  store(expires)
  reply[6] = account[3]
  return reply
end

-- All that replicas said, for whoever will put it back: records, and usages of single replicas.
local function backup()
  local said, used = {}, {}
  for _, key in ipairs({ KEYS[1], KEYS[3] }) do
    local all = call('HGETALL', key)
    for at = 1, #all, 2 do
      if all[at] ~= '@' then
        said[#said + 1] = all[at]:sub(2)
        said[#said + 1] = all[at + 1]
      end
    end
  end
  local all = call('HGETALL', KEYS[2])
  for at = 1, #all, 2 do
    if all[at]:sub(1, 1) == 'c' then
      used[#used + 1] = all[at]
      used[#used + 1] = all[at + 1]
    end
  end
  return { said, used }
end

-- Puts back what is newer than what is here. The newest version of a replica says all about it.
local function restore()
  local grace, count = tonumber(ARGV[4]), tonumber(ARGV[5])
  open()
  if not notice(ARGV[2], tonumber(ARGV[3]), grace) then recover(time + grace) end
  local newer, restored, expires = {}, 0, time + DAY
  local at = 6
  for _ = 1, count do
    local replica, record = ARGV[at], munpack(ARGV[at + 1])
    at = at + 2
    local stored = record_of(replica)
    if not stored or stored[1] < record[1] then
      if stored then dig_up(stored) end
      newer[replica] = true
      restored = restored + 1
      for w = FIRST, #record, STRIDE do
        local g, kind = w + GHOST, record[w + KIND]
        if record[g + 1] > 0 or record[g + 2] > 0 or record[g + 3] > 0 or record[g + 4] > 0 then
          local field = 't' .. record[w + ID]
          put_usage(field, add(usage(field), record[g], record[g + 1], record[g + 2], record[g + 3], record[g + 4], true))
        end
        if kind == 'F' then expires = max(expires, record[w + B] + DAY) end
        if kind == 'R' then expires = max(expires, time + 2 * record[w + A] + HOUR) end
        if kind == 'E' then expires = max(expires, time + FOREVER) end
      end
      -- Heard of just now, so that a live one has the time to come itself.
      if record[4] == 0 then record[2] = time end
      records[replica] = record
      changed[replica] = true
    end
  end
  while at < #ARGV do
    local field, said = ARGV[at], ARGV[at + 1]
    at = at + 2
    local length, rest = field:match('^c(%d+):(.*)$')
    local id, replica = rest:sub(1, tonumber(length)), rest:sub(tonumber(length) + 1)
    if newer[replica] then
      local all, mine = usage('t' .. id), usage(field)
      for e = HEAD + 1, #said, ENTRY do
        local start, r, t, i, o = sunpack('>ddddd', said, e)
        local r1, t1, i1, o1 = entry(mine, start)
        mine = add(mine, start, r - r1, t - t1, i - i1, o - o1, true)
        all = add(all, start, r - r1, t - t1, i - i1, o - o1, true)
      end
      put_usage('t' .. id, all)
      put_usage(field, mine)
    end
  end
  store(expires)
  return restored
end

if ARGV[1] == 'exchange' then return exchange() end
if ARGV[1] == 'backup' then return backup() end
return restore()
