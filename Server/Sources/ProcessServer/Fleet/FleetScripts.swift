import RESPClient

/// What the servers of a fleet keep in Redis, and the scripts that change it, each of them at once.
///
/// ```
///  processd:hosts               set     the names of the servers
///  processd:host:NAME           hash    life, url; until its lease is over
///  processd:life:LIFE           string  when it began, by Redis's clock (ms); until lease and
///                                       grace are over
///  processd:session:ID          hash    what is known of the session, see below
///  processd:stream:ID           stream  the session's output, an entry for each batch
///  processd:workspace:NAME      zset    the ids of its sessions, by their start
///  processd:news:ID             channel told when the session has news
/// ```
///
/// The fields of a session's hash are `life`, `host`, `workspace`, `order` (what does not change),
/// `state`, `closed`, `lost`, `deleted` if a client has deleted a lost session, and `used` if a
/// client of another server has used the session since its state was stored.
///
/// A *life* is one run of a server, and has a random name. Only the life that has started a session
/// writes it, and only as long as no other server has declared the session lost: each script that
/// writes checks both. So no session ever has two owners.
enum FleetKey {
  static let hosts = "processd:hosts"
  static func host(_ name: String) -> String { "processd:host:\(name)" }
  static func life(_ life: String) -> String { "processd:life:\(life)" }
  static func session(_ id: String) -> String { "processd:session:\(id)" }
  static func stream(_ id: String) -> String { "processd:stream:\(id)" }
  static func workspace(_ name: String) -> String { "processd:workspace:\(name)" }
  static func news(_ id: String) -> String { "processd:news:\(id)" }
}

enum FleetScript {
  /// Renews a server's life, and takes or renews its lease unless another life has the name. A
  /// server without its name lives as well: its sessions are not lost.
  ///
  /// Returns whether the server has the lease, whether its life had not ended (if it had, sessions
  /// may have been declared lost), and when its life began.
  ///
  /// Keys: host, life, hosts. Arguments: life, URL, lease, lease and grace (ms), name.
  static let renewLease = RedisScript(
    source: """
      -- What is renewed needs no memory, of which Redis may have none left.
      local lived = redis.call('PEXPIRE', KEYS[2], ARGV[4])
      if lived == 0 then
        local time = redis.call('TIME')
        local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
        redis.call('SET', KEYS[2], now, 'PX', ARGV[4])
      end
      local holder = redis.call('HGET', KEYS[1], 'life')
      local beginning = redis.call('GET', KEYS[2])
      if holder and holder ~= ARGV[1] then return {0, lived, beginning} end
      if not holder then
        redis.call('SADD', KEYS[3], ARGV[5])
        redis.call('HSET', KEYS[1], 'life', ARGV[1], 'url', ARGV[2])
      else
        -- Heals what another program has changed.
        redis.pcall('SADD', KEYS[3], ARGV[5])
        redis.pcall('HSET', KEYS[1], 'url', ARGV[2])
      end
      redis.call('PEXPIRE', KEYS[1], ARGV[3])
      return {1, lived, beginning}
      """)

  /// Gives a server's lease back.
  ///
  /// Keys: host, life, hosts. Arguments: life, name.
  static let endLease = RedisScript(
    source: """
      if redis.call('HGET', KEYS[1], 'life') == ARGV[1] then
        redis.call('DEL', KEYS[1])
        redis.call('SREM', KEYS[3], ARGV[2])
      end
      redis.call('DEL', KEYS[2])
      return 1
      """)

  /// Registers a session. Returns the id of the last entry of its stream, or an empty text; LOST if
  /// the session is another life's, or was declared lost.
  ///
  /// Keys: session, stream, workspace. Arguments: life, time to live (ms), channel, start, id, the
  /// state if there is none yet, and then the fields of the hash.
  static let register = RedisScript(
    source: """
      local known = redis.call('HMGET', KEYS[1], 'life', 'lost')
      if known[2] or (known[1] and known[1] ~= ARGV[1]) then
        return redis.error_reply('LOST to another life')
      end
      redis.call('HSET', KEYS[1], 'life', ARGV[1], unpack(ARGV, 7))
      redis.call('HSETNX', KEYS[1], 'state', ARGV[6])
      redis.call('ZADD', KEYS[3], ARGV[4], ARGV[5])
      for i = 1, 2 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
      if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[2]) then
        redis.call('PEXPIRE', KEYS[3], ARGV[2])
      end
      redis.call('PUBLISH', ARGV[3], '')
      local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
      return last[1] and last[1][1] or ''
      """)

  /// Stores a session's state and, unless its id is empty, a batch of its output, and gives up the
  /// entries that are no longer in the session's window. An entry that is there already is not
  /// stored again. Returns USED if a client of another server has used the session since the last
  /// time, else OK; LOST as `register` does; UNKNOWN if the session is not registered.
  ///
  /// Keys: session, stream, workspace. Arguments: life, time to live (ms), channel, state, whether
  /// it is closed (1), id, descriptors, payload, id of the oldest entry to keep.
  static let store = RedisScript(
    source: """
      local known = redis.call('HMGET', KEYS[1], 'life', 'lost')
      if not known[1] then return redis.error_reply('UNKNOWN session') end
      if known[2] or known[1] ~= ARGV[1] then return redis.error_reply('LOST to another life') end
      local entry
      -- First, since Redis refuses no write for want of memory behind another one of a script.
      if ARGV[6] ~= '' then
        entry = redis.pcall('XADD', KEYS[2], 'MINID', ARGV[9], ARGV[6], 'c', ARGV[7], 'd', ARGV[8])
      end
      -- What is there stays in any case.
      for i = 1, 2 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
      -- Another server of the workspace may keep its sessions for longer.
      if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[2]) then
        redis.call('PEXPIRE', KEYS[3], ARGV[2])
      end
      if type(entry) == 'table' and entry.err then
        if not string.find(entry.err, 'equal or smaller', 1, true) then return entry end
      end
      redis.call('HSET', KEYS[1], 'state', ARGV[4])
      if ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'closed', '1') end
      redis.call('PUBLISH', ARGV[3], '')
      local used = redis.call('HDEL', KEYS[1], 'used')
      return redis.status_reply(used == 1 and 'USED' or 'OK')
      """)

  /// Forgets a session, if it is this life's and was not declared lost.
  ///
  /// Keys: session, stream, workspace. Arguments: life, channel, id.
  static let forget = RedisScript(
    source: """
      local known = redis.call('HMGET', KEYS[1], 'life', 'lost')
      if known[1] ~= ARGV[1] or known[2] then return 0 end
      redis.call('DEL', KEYS[1], KEYS[2])
      redis.call('ZREM', KEYS[3], ARGV[3])
      redis.call('PUBLISH', ARGV[2], '')
      return 1
      """)

  /// Deletes a session that was declared lost. That it was stays known for a while: its server must
  /// not bring it back.
  ///
  /// Keys: session, stream, workspace. Arguments: channel, id.
  static let forgetLost = RedisScript(
    source: """
      if not redis.call('HGET', KEYS[1], 'lost') then return 0 end
      -- First what needs no memory, of which Redis may have none left.
      redis.call('DEL', KEYS[2])
      redis.call('ZREM', KEYS[3], ARGV[2])
      redis.call('HSET', KEYS[1], 'deleted', '1')
      redis.call('PUBLISH', ARGV[1], '')
      return 1
      """)

  /// Removes members of a set or a sorted set whose keys do not exist.
  ///
  /// Keys: set, and a key for each member. Arguments: SREM or ZREM, members.
  static let prune = RedisScript(
    source: """
      for i = 2, #KEYS do
        if redis.call('EXISTS', KEYS[i]) == 0 then redis.call(ARGV[1], KEYS[1], ARGV[i]) end
      end
      return 1
      """)

  /// Looks at a session: returns its fields, and whether its server is reachable; if there is no
  /// such session, when the asking server's life began. Declares it lost if its server's lease and
  /// grace are over, and the asking server may judge that: it has been connected for as long as
  /// lease and grace last, and its own life has gone on for as long by Redis's clock. Otherwise all
  /// lives may have ended because Redis stood still, or because its clock jumped.
  ///
  /// Keys: session. Arguments: whether the asking server may judge (1), channel, whether a client
  /// uses the session (1), the asking server's life, lease and grace (ms).
  static let look = RedisScript(
    source: """
      local own = 'processd:life:' .. ARGV[4]
      local known = redis.pcall('HMGET', KEYS[1], 'life', 'host', 'lost', 'closed', 'deleted')
      -- Another program may have put anything there.
      if known.err or not known[1] or not known[2] or known[5] then
        return {redis.call('GET', own) or ''}
      end
      local fields = redis.call('HGETALL', KEYS[1])
      local reachable = 0
      if redis.call('HGET', 'processd:host:' .. known[2], 'life') == known[1] then
        reachable = 1
      elseif ARGV[1] == '1' and not known[3] and not known[4]
        and redis.call('EXISTS', 'processd:life:' .. known[1]) == 0
      then
        local beginning = tonumber(redis.call('GET', own) or nil)
        local time = redis.call('TIME')
        if beginning and time[1] * 1000 + time[2] / 1000 - beginning > tonumber(ARGV[5]) then
          -- Without memory for that, another look declares it.
          redis.pcall('HSET', KEYS[1], 'lost', '1')
          redis.call('PUBLISH', ARGV[2], '')
          fields = redis.call('HGETALL', KEYS[1])
        end
      end
      -- Without memory for that, it is left out.
      if ARGV[3] == '1' then redis.pcall('HSET', KEYS[1], 'used', '1') end
      return {fields, reachable}
      """)
}
