-- Stream sockets over FFI, for Linux: connect to "HOST:PORT", "[::1]:PORT", "unix:PATH" or "/PATH", send all of a
-- string, receive what there is. Sockets do not block; a wait is a poll with a deadline, after a short spin.
--
-- Expected failures return nil, "NAME: message", "NAME".
local bit = require "bit"
local ffi = require "ffi"

-- Declared once a process, however often this is loaded.
local declared = pcall(ffi.typeof, "struct tidepool_addrinfo")
if not declared then
  ffi.cdef [[
struct tidepool_addrinfo {
  int flags, family, kind, protocol;
  uint32_t length;
  void *address;
  char *name;
  struct tidepool_addrinfo *next;
};
struct tidepool_sockaddr_un { uint16_t family; char path[108]; };
struct tidepool_pollfd { int fd; short events, revents; };
struct tidepool_timespec { long seconds, nanoseconds; };
int socket(int family, int kind, int protocol);
int connect(int fd, const void *address, uint32_t length);
int close(int fd);
int poll(struct tidepool_pollfd *fds, unsigned long count, int timeout_ms);
long send(int fd, const void *data, size_t bytes, int flags);
long recv(int fd, void *data, size_t bytes, int flags);
int setsockopt(int fd, int level, int name, const void *value, uint32_t bytes);
int getsockopt(int fd, int level, int name, void *value, uint32_t *bytes);
int getaddrinfo(const char *host, const char *port, const struct tidepool_addrinfo *hints,
                struct tidepool_addrinfo **found);
void freeaddrinfo(struct tidepool_addrinfo *found);
const char *gai_strerror(int code);
char *strerror(int code);
int clock_gettime(int clock, struct tidepool_timespec *now);
]]
end

local C = ffi.C
local band, bor = bit.band, bit.bor

-- Linux, all architectures that LuaJIT runs on but MIPS.
local AF_UNIX, SOCK_STREAM = 1, 1
local SOCK_FLAGS = bor(0x800, 0x80000) -- SOCK_NONBLOCK, SOCK_CLOEXEC
local SOL_SOCKET, SO_ERROR, IPPROTO_TCP, TCP_NODELAY = 1, 4, 6, 1
local MSG_NOSIGNAL = 0x4000
local POLLIN, POLLOUT = 1, 4
local EINTR, EAGAIN, EINPROGRESS = 4, 11, 115
local CLOCK_MONOTONIC = 1

local M = {}
local Socket = {}
Socket.__index = Socket

local time = ffi.new "struct tidepool_timespec"

-- Seconds since some moment, never going back.
function M.now()
  C.clock_gettime(CLOCK_MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) * 1e-9
end
local now = M.now

local function failure(name, format, ...) return nil, name .. ": " .. format:format(...), name end

local function system_failure(what, code)
  return failure("UNAVAILABLE", "%s: %s", what, ffi.string(C.strerror(code)))
end

local pollfd = ffi.new "struct tidepool_pollfd[1]"

-- Wait until fd is ready for events or the deadline, in seconds of now(), has passed: true, or false.
local function wait(fd, events, deadline)
  while true do
    local left = deadline and math.max(0, math.ceil((deadline - now()) * 1000)) or -1
    pollfd[0].fd, pollfd[0].events, pollfd[0].revents = fd, events, 0
    local ready = C.poll(pollfd, 1, math.min(left, 0x7fffffff))
    if ready > 0 then return true end
    if ready == 0 and deadline and now() >= deadline then return false end
    if ready < 0 and ffi.errno() ~= EINTR then return true end
  end
end

-- Finish a connect that is under way: 0 or an errno, nil at the deadline.
local function finish_connect(fd, deadline)
  if not wait(fd, POLLOUT, deadline) then return nil end
  local code, size = ffi.new "int[1]", ffi.new("uint32_t[1]", 4)
  C.getsockopt(fd, SOL_SOCKET, SO_ERROR, code, size)
  return code[0]
end

-- Closes the socket of an object that was dropped.
local function close_guarded(guard)
  if guard[0] >= 0 then C.close(guard[0]) end
end

local function connect_one(address, family, sockaddr, length, deadline)
  local fd = C.socket(family, bor(SOCK_STREAM, SOCK_FLAGS), 0)
  if fd < 0 then return system_failure("socket", ffi.errno()) end
  local code = 0
  if C.connect(fd, sockaddr, length) ~= 0 then code = ffi.errno() end
  if code == EINPROGRESS then code = finish_connect(fd, deadline) end
  if code ~= 0 then
    C.close(fd)
    if not code then return failure("DEADLINE_EXCEEDED", "connect to %s: no answer in time", address) end
    return system_failure("connect to " .. address, code)
  end
  if family ~= AF_UNIX then C.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ffi.new("int[1]", 1), 4) end
  local guard = ffi.gc(ffi.new("int[1]", fd), close_guarded)
  return setmetatable({ fd = fd, address = address, guard = guard }, Socket)
end

local function connect_unix(address, path, deadline)
  local sockaddr = ffi.new "struct tidepool_sockaddr_un"
  if #path > 107 then return failure("INVALID_ARGUMENT", "address %s: a path of over 107 bytes", address) end
  sockaddr.family = AF_UNIX
  ffi.copy(sockaddr.path, path)
  return connect_one(address, AF_UNIX, sockaddr, ffi.sizeof(sockaddr), deadline)
end

local function connect_tcp(address, host, port, deadline)
  local hints, found = ffi.new "struct tidepool_addrinfo", ffi.new "struct tidepool_addrinfo *[1]"
  hints.kind = SOCK_STREAM
  local code = C.getaddrinfo(host, port, hints, found)
  if code ~= 0 then
    return failure("UNAVAILABLE", "connect to %s: %s", address, ffi.string(C.gai_strerror(code)))
  end
  local socket, message, name
  local candidate = found[0]
  while candidate ~= nil and not socket do
    socket, message, name = connect_one(address, candidate.family, candidate.address, candidate.length, deadline)
    candidate = candidate.next
  end
  C.freeaddrinfo(found[0])
  return socket, message, name
end

-- A connected socket. timeout in seconds, nil: as long as the system tries.
function M.connect(address, timeout)
  local deadline = timeout and now() + timeout
  local path = address:match "^unix:(.+)$" or (address:find("/", 1, true) and address)
  if path then return connect_unix(address, path, deadline) end
  local host, port = address:match "^%[(.+)%]:(%d+)$"
  if not host then
    host, port = address:match "^([^:]+):(%d+)$"
  end
  if not host then return failure("INVALID_ARGUMENT", "address %s: neither HOST:PORT nor a path", address) end
  return connect_tcp(address, host, port, deadline)
end

-- Send data, a string, or so many bytes of it, which may be a pointer: true. While the peer takes nothing but has
-- something to say, drain() is called, so that two sides that both write do not wait for each other. On any failure the
-- socket is of no further use.
function Socket:send(data, bytes, deadline, drain)
  local at = ffi.cast("const char *", data)
  bytes = bytes or #data
  while bytes > 0 do
    if self.fd < 0 then return failure("UNAVAILABLE", "%s: the connection is closed", self.address) end
    local sent = tonumber(C.send(self.fd, at, bytes, MSG_NOSIGNAL))
    if sent >= 0 then
      at, bytes = at + sent, bytes - sent
    else
      local code = ffi.errno()
      if code == EAGAIN then
        if not wait(self.fd, drain and bor(POLLIN, POLLOUT) or POLLOUT, deadline) then
          return failure("DEADLINE_EXCEEDED", "%s: the node takes no more bytes", self.address)
        end
        if drain and band(pollfd[0].revents, POLLIN) ~= 0 then drain() end
      elseif code ~= EINTR then
        return system_failure(self.address, code)
      end
    end
  end
  return true
end

-- Receive up to room bytes into buffer: how many, at least 1. nil with DEADLINE_EXCEEDED when none came in time, with
-- UNAVAILABLE when the peer has gone.
function Socket:receive(buffer, room, deadline)
  while true do
    if self.fd < 0 then return failure("UNAVAILABLE", "%s: the connection is closed", self.address) end
    local got = tonumber(C.recv(self.fd, buffer, room, 0))
    if got > 0 then return got end
    if got == 0 then return failure("UNAVAILABLE", "%s: the node closed the connection", self.address) end
    local code = ffi.errno()
    if code == EAGAIN then
      if not wait(self.fd, POLLIN, deadline) then
        return failure("DEADLINE_EXCEEDED", "%s: no answer in time", self.address)
      end
    elseif code ~= EINTR then
      return system_failure(self.address, code)
    end
  end
end

function Socket:close()
  if self.fd >= 0 then C.close(self.fd) end
  self.fd, self.guard[0] = -1, -1
end

return M
