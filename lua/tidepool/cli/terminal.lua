--- The terminal of a command that redraws: its size, keys as they are pressed, and the signals that end the command or
--- change the size, none of which may leave the terminal in disorder. Linux.
local bit = require "bit"
local ffi = require "ffi"
-- Declares poll.
require "tidepool.client.socket"

-- Declared once a process, however often this is loaded.
local declared = pcall(ffi.typeof, "struct tidepool_termios")
if not declared then
  ffi.cdef [[
struct tidepool_termios {
  uint32_t input, output, control, locals;
  uint8_t line, characters[32];
  uint32_t input_speed, output_speed;
};
struct tidepool_window { unsigned short rows, columns, width, height; };
struct tidepool_signals { uint64_t bits[16]; };
int tcgetattr(int fd, struct tidepool_termios *attributes);
int tcsetattr(int fd, int when, const struct tidepool_termios *attributes);
int isatty(int fd);
int ioctl(int fd, unsigned long request, ...);
int sigprocmask(int how, const struct tidepool_signals *set, struct tidepool_signals *old);
int signalfd(int fd, const struct tidepool_signals *set, int flags);
long read(int fd, void *data, size_t bytes);
]]
end

local C = ffi.C
local STDIN, STDOUT = 0, 1
local TIOCGWINSZ = 0x5413
local ICANON, ECHO = 0x2, 0x8
-- Places in termios.characters.
local VTIME, VMIN, VSUSP = 5, 6, 10
local TCSANOW = 0
local SIG_BLOCK, SIG_SETMASK = 0, 2
local SIGHUP, SIGINT, SIGTERM, SIGWINCH = 1, 2, 15, 28
local SFD_CLOEXEC = 0x80000
local SIGNAL_INFO_BYTES = 128
local POLLIN = 1

-- The other screen without a cursor, and back.
local ENTER, LEAVE = "\27[?1049h\27[?25l", "\27[?25h\27[?1049l"

local terminal = {}
local Terminal = {}
Terminal.__index = Terminal

--- True when standard output is a terminal.
function terminal.is_there() return C.isatty(STDOUT) == 1 end

--- Columns and rows; those of the environment, or 100 and no bound, where standard output is no terminal.
function terminal.size()
  local window = ffi.new "struct tidepool_window"
  if C.ioctl(STDOUT, TIOCGWINSZ, window) == 0 and window.columns > 0 then return window.columns, window.rows end
  return tonumber(os.getenv "COLUMNS") or 100, math.huge
end

local function put(...)
  io.stdout:write(...)
  io.stdout:flush()
end

-- Keys come at once and unseen; ^Z would leave the other screen on, so it does nothing.
local function take_keys(self)
  if C.tcgetattr(STDIN, self.old) ~= 0 then return end
  local raw = ffi.new("struct tidepool_termios", self.old)
  raw.locals = bit.band(raw.locals, bit.bnot(bit.bor(ICANON, ECHO)))
  raw.characters[VMIN], raw.characters[VTIME], raw.characters[VSUSP] = 1, 0, 0
  self.has_keys = C.tcsetattr(STDIN, TCSANOW, raw) == 0
end

local function take_signals(self)
  local set = ffi.new "struct tidepool_signals"
  for _, signal in ipairs { SIGHUP, SIGINT, SIGTERM, SIGWINCH } do
    set.bits[0] = set.bits[0] + bit.lshift(1ULL, signal - 1)
  end
  C.sigprocmask(SIG_BLOCK, set, self.mask)
  self.signals = C.signalfd(-1, set, SFD_CLOEXEC)
end

--- Take the terminal over until close().
function terminal.open()
  local self = setmetatable({
    old = ffi.new "struct tidepool_termios", mask = ffi.new "struct tidepool_signals", has_keys = false,
  }, Terminal)
  take_signals(self)
  take_keys(self)
  put(ENTER)
  return self
end

--- The terminal as it was; nothing the second time.
function Terminal:close()
  if not self.signals then return end
  put(LEAVE)
  if self.has_keys then C.tcsetattr(STDIN, TCSANOW, self.old) end
  C.close(self.signals)
  self.signals = nil
  C.sigprocmask(SIG_SETMASK, self.mask, nil)
end

-- "resize", or "quit" for every other signal.
local function read_signal(self)
  local info = ffi.new("uint32_t[?]", SIGNAL_INFO_BYTES / 4)
  if C.read(self.signals, info, SIGNAL_INFO_BYTES) ~= SIGNAL_INFO_BYTES then return "quit" end
  return info[0] == SIGWINCH and "resize" or "quit"
end

local function read_key()
  local byte = ffi.new "uint8_t[1]"
  -- The end of the input: the terminal is gone.
  if C.read(STDIN, byte, 1) ~= 1 then return "quit" end
  return string.char(byte[0])
end

--- The next key as a character, "resize" or "quit" (a signal that ends); nil after so many seconds without any.
function Terminal:wait(seconds)
  local polled = ffi.new "struct tidepool_pollfd[2]"
  polled[0].fd, polled[0].events = self.signals, POLLIN
  polled[1].fd, polled[1].events = self.has_keys and STDIN or -1, POLLIN
  if C.poll(polled, 2, math.max(0, math.ceil(seconds * 1000))) <= 0 then return nil end
  if polled[0].revents ~= 0 then return read_signal(self) end
  return read_key()
end

--- Replace what the screen shows by these lines.
function terminal.draw(lines)
  put("\27[H", table.concat(lines, "\27[K\n"), "\27[K\27[J")
end

return terminal
