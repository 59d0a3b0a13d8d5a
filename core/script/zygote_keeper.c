/*
 * The keeper: forks a zygote whenever the core asks for one, into the best set of namespaces that the kernel grants. It was
 * forked before anything was set up and never grows, so a zygote is forked as fast at noon as at the start.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/child.h"
#include "script/zygote.h"

/* Sets of namespaces to try, the best first. The zygote is in them, and its workers with it. */
static const struct {
	unsigned long flags;
	const char *text;
} namespaces[] = {
	{ CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
	  "pid mount net ipc uts cgroup" },
	{ CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	  "pid mount net ipc uts" },
	{ CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		  CLONE_NEWCGROUP,
	  "user pid mount net ipc uts cgroup" },
	{ CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	  "user pid mount net ipc uts" },
	{ CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC, "user net ipc" },
};

/* Fork into the best set that the kernel grants; *isolation names it. fork() itself has no flags, hence the bare call. */
static pid_t
fork_isolated(const char **isolation)
{
	for (size_t i = 0; CHILD_IS_CONFINED && i < sizeof(namespaces) / sizeof(*namespaces); i++) {
		*isolation = namespaces[i].text;
		long pid = syscall(SYS_clone, namespaces[i].flags | SIGCHLD, 0, 0, 0, 0);
		if (pid >= 0)
			return (pid_t)pid;
	}
	*isolation = "";
	return fork();
}

/* Only the socket, at the number of standard input, and standard error stay. */
static void
settle(int socket)
{
	prctl(PR_SET_NAME, "tidepool-keeper");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A terminal's ^C is for the node, which then ends us. A session of our own would be one for the scheduler too. */
	setpgid(0, 0);
	/* Zygotes that end are not waited for. */
	signal(SIGCHLD, SIG_IGN);
	dup2(socket, STDIN_FILENO);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDOUT_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
}

void
zygote_keep(int socket)
{
	struct pollfd poll_socket = { .fd = STDIN_FILENO, .events = POLLIN };
	settle(socket);
	for (;;) {
		char order;
		int fds[ZYGOTE_FDS];
		const char *isolation;
		poll(&poll_socket, 1, -1);
		ssize_t got = zygote_receive_message(STDIN_FILENO, &order, sizeof(order), fds);
		if (got == 0)
			_exit(0);
		if (got < 0 || fds[0] < 0)
			continue;
		if (fork_isolated(&isolation) == 0)
			zygote_main(fds[0], isolation);
		close(fds[0]);
	}
}
