#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "script/child.h"
#include "script/rank.h"
#include "script/zygote.h"

/* A worker that was forked and not yet seen to end. */
struct offspring {
	uint32_t id;
	pid_t pid;
	/* An enum rank. */
	uint32_t rank;
};

/* The zygote's whole state; it has one thread. */
static struct {
	int socket;
	int signals;
	struct offspring *workers;
	size_t count;
	size_t room;
} self;

static void
say_hello(int status, const char *format, const char *first, const char *second)
{
	struct zygote_hello hello = { .status = status };
	snprintf(hello.text, sizeof(hello.text), format, first, second);
	send(self.socket, &hello, sizeof(hello), MSG_NOSIGNAL);
	if (status != 0)
		_exit(1);
}

/* --- shedding what the parent had ----------------------------------------------------------------------------------- */

/* Only the socket, a null standard input and output, and standard error stay. */
static void
shed_files(int socket)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(socket, STDERR_FILENO + 1);
	self.socket = STDERR_FILENO + 1;
	syscall(SYS_close_range, STDERR_FILENO + 2, ~0u, 0);
}

/* All signals as they were born, but for the death of children, which is read from a file. */
static void
take_signals(void)
{
	sigset_t set;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	self.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* An empty read-only root, where a mount namespace of our own allows it. */
static bool
empty_root(void)
{
	static const char folder[] = "/tmp";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") != 0 ||
	    chdir(folder) != 0 || syscall(SYS_pivot_root, ".", ".") != 0)
		return false;
	return umount2(".", MNT_DETACH) == 0 &&
	       mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     NULL) == 0 &&
	       chdir("/") == 0;
}

/* --- workers -------------------------------------------------------------------------------------------------------- */

/* Waits for the core to read, should it be behind. */
static void
report(const struct zygote_report *report, const int *fd, size_t fd_count)
{
	while (zygote_send_message(self.socket, report, sizeof(*report), fd, fd_count) != 0) {
		struct pollfd room = { .fd = self.socket, .events = POLLOUT };
		if (errno != EAGAIN)
			_exit(0);
		poll(&room, 1, -1);
	}
}

static void
report_end(uint32_t id, int status, uint64_t cpu_ns)
{
	struct zygote_report ended = {
		.id = id, .event = ZYGOTE_ENDED, .status = status, .cpu_ns = cpu_ns
	};
	report(&ended, NULL, 0);
}

/* The core's number of the worker, which is not ours in a namespace of our own, is found through a file that stands for it. */
static void
report_fork(uint32_t id, pid_t pid)
{
	struct zygote_report forked = { .id = id, .event = ZYGOTE_FORKED };
	int file = (int)syscall(SYS_pidfd_open, pid, 0);
	report(&forked, &file, file >= 0);
	if (file >= 0)
		close(file);
}

static bool
make_room(void)
{
	if (self.count < self.room)
		return true;
	size_t room = self.room == 0 ? 64 : self.room * 2;
	struct offspring *workers = realloc(self.workers, room * sizeof(*workers));
	if (workers == NULL)
		return false;
	self.workers = workers;
	self.room = room;
	return true;
}

/* Without what fork() does for threads, which writes to pages that the worker would then have for itself. */
static pid_t
fork_worker(void)
{
	return CHILD_IS_CONFINED ? _Fork() : fork();
}

static void
spawn(const struct zygote_spawn *order, const int *fds)
{
	pid_t pid = make_room() ? fork_worker() : -1;
	if (pid == 0)
		child_main(order, fds);
	for (int i = 0; i < ZYGOTE_FDS; i++)
		close(fds[i]);
	if (pid < 0) {
		report_end(order->id, -1, 0);
		return;
	}
	self.workers[self.count++] = (struct offspring){ order->id, pid, order->rank };
	report_fork(order->id, pid);
}

/* NULL when there is none. */
static struct offspring *
find(uint32_t id)
{
	for (size_t i = 0; i < self.count; i++)
		if (self.workers[i].id == id)
			return &self.workers[i];
	return NULL;
}

static void
kill_worker(uint32_t id)
{
	const struct offspring *worker = find(id);
	if (worker != NULL)
		kill(worker->pid, SIGKILL);
}

static void
set_rank(uint32_t id, uint32_t rank)
{
	struct offspring *worker = find(id);
	if (worker == NULL)
		return;
	worker->rank = rank;
	rank_give(worker->pid, rank);
}

static void
part(bool apart)
{
	rank_part(apart);
	for (size_t i = 0; i < self.count; i++)
		if (self.workers[i].rank > RANK_PROMPT)
			rank_give(self.workers[i].pid, self.workers[i].rank);
}

static uint64_t
cpu_time(const struct rusage *usage)
{
	const struct timeval *user = &usage->ru_utime, *system = &usage->ru_stime;
	return (uint64_t)(user->tv_sec + system->tv_sec) * 1000000000u +
	       (uint64_t)(user->tv_usec + system->tv_usec) * 1000u;
}

/* Not reaped before it is looked up, so the number cannot stand for another process. */
static void
forget(pid_t pid, int status, const struct rusage *usage)
{
	for (size_t i = 0; i < self.count; i++) {
		if (self.workers[i].pid != pid)
			continue;
		report_end(self.workers[i].id, status, cpu_time(usage));
		self.workers[i] = self.workers[--self.count];
		return;
	}
}

static void
reap(void)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int status;
	pid_t pid;
	while (read(self.signals, &info, sizeof(info)) > 0)
		continue;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
		forget(pid, status, &usage);
}

/* --- commands ------------------------------------------------------------------------------------------------------- */

static void
obey(const struct zygote_command *command, const int *fds)
{
	switch (command->verb) {
	case ZYGOTE_SPAWN:
		spawn(&command->spawn, fds);
		break;
	case ZYGOTE_KILL:
		kill_worker(command->id);
		break;
	case ZYGOTE_RANK:
		set_rank(command->id, command->value);
		break;
	case ZYGOTE_PART:
		part(command->value != 0);
		break;
	default:
		break;
	}
}

/* One command; ends the zygote when the core has gone. */
static void
receive(void)
{
	struct zygote_command command;
	int fds[ZYGOTE_FDS];
	ssize_t got = zygote_receive_message(self.socket, &command, sizeof(command), fds);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got != sizeof(command))
		_exit(0);
	obey(&command, fds);
}

void
zygote_main(int socket, const char *isolation)
{
	prctl(PR_SET_NAME, "tidepool-zygote");
	shed_files(socket);
	take_signals();
	rank_prepare();
	if (child_prepare() != 0)
		say_hello(-1, "%s%s", error_last()->message, "");
	/* Where the root is no mount (a chroot), it cannot be changed: files are then seccomp's to keep, and this says so. */
	bool hides_files = strstr(isolation, "mount") == NULL || empty_root();
	say_hello(0, hides_files ? "%s %s" : "%s %s (root not empty)", child_isolation(),
		  isolation);
	struct pollfd polls[] = { { .fd = self.socket, .events = POLLIN },
				  { .fd = self.signals, .events = POLLIN } };
	for (;;) {
		poll(polls, 2, -1);
		if (polls[0].revents != 0)
			receive();
		if (polls[1].revents != 0)
			reap();
	}
}
