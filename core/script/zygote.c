#include "script/zygote.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "script/child.h"

/* The one zygote of this process. */
static struct {
	pid_t pid;
	int socket;
	char isolation[ZYGOTE_TEXT_BYTES];
} zygote = { .socket = -1 };

/* --- forking it ----------------------------------------------------------------------------------------------------- */

/* Sets of namespaces to try, the best first. The zygote is in them, and its workers with it. */
static const struct {
	unsigned long flags;
	const char *text;
} namespaces[] = {
	{ CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	  "pid mount net ipc" },
	{ CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	  "user pid mount net ipc" },
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

static int
wait_hello(void)
{
	struct zygote_hello hello = { 0 };
	ssize_t got;
	do
		got = recv(zygote.socket, &hello, sizeof(hello), 0);
	while (got < 0 && errno == EINTR);
	if (got != sizeof(hello))
		return error_set(ERR_UNAVAILABLE, "the zygote ended before it was ready");
	hello.text[sizeof(hello.text) - 1] = '\0';
	if (hello.status != 0)
		return error_set(ERR_UNAVAILABLE, "the zygote: %s", hello.text);
	memcpy(zygote.isolation, hello.text, sizeof(zygote.isolation));
	return 0;
}

int
zygote_start(void)
{
	int pair[2];
	const char *isolation;
	assert(zygote.socket < 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set_errno("the zygote's socket");
	pid_t pid = fork_isolated(&isolation);
	if (pid == 0)
		zygote_main(pair[1], isolation);
	close(pair[1]);
	zygote.pid = pid;
	zygote.socket = pair[0];
	if (pid < 0) {
		error_set_errno("fork of the zygote");
		zygote_stop();
		return -1;
	}
	if (wait_hello() != 0) {
		zygote_stop();
		return -1;
	}
	return 0;
}

void
zygote_stop(void)
{
	if (zygote.socket < 0)
		return;
	close(zygote.socket);
	zygote.socket = -1;
	if (zygote.pid > 0) {
		kill(zygote.pid, SIGKILL);
		while (waitpid(zygote.pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	zygote.pid = 0;
}

const char *
zygote_isolation(void)
{
	return zygote.isolation;
}

int
zygote_fd(void)
{
	return zygote.socket;
}

/* --- talking to it -------------------------------------------------------------------------------------------------- */

static int
send_command(const struct zygote_command *command, const int *fds, size_t fd_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(ZYGOTE_FDS * sizeof(int))];
	struct iovec piece = { (void *)command, sizeof(*command) };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	if (zygote.socket < 0)
		return error_set(ERR_UNAVAILABLE, "no zygote runs");
	if (fd_count > 0) {
		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(zygote.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent == sizeof(*command))
		return 0;
	if (errno == EAGAIN)
		return error_set(ERR_RESOURCE_EXHAUSTED, "the zygote is behind with its work");
	return error_set(ERR_UNAVAILABLE, "the zygote has gone: %s", strerror(errno));
}

int
zygote_spawn(const struct zygote_spawn *spawn, int memory, int wake_worker, int wake_core)
{
	struct zygote_command command = { .verb = ZYGOTE_SPAWN, .id = spawn->id, .spawn = *spawn };
	int fds[ZYGOTE_FDS] = { memory, wake_worker, wake_core };
	return send_command(&command, fds, ZYGOTE_FDS);
}

int
zygote_kill(uint32_t id)
{
	struct zygote_command command = { .verb = ZYGOTE_KILL, .id = id };
	return send_command(&command, NULL, 0);
}

int
zygote_receive(struct zygote_exit *report)
{
	if (zygote.socket < 0)
		return error_set(ERR_UNAVAILABLE, "no zygote runs");
	ssize_t got = recv(zygote.socket, report, sizeof(*report), MSG_DONTWAIT);
	if (got == sizeof(*report))
		return 1;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return error_set(ERR_UNAVAILABLE, "the zygote has gone");
}
