#include "script/zygote.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

/* The one zygote of this process, and its keeper. */
static struct {
	pid_t keeper_pid;
	int keeper;
	/* -1: none was started. */
	int socket;
	/* Its hello has come. */
	bool is_ready;
	char isolation[ZYGOTE_TEXT_BYTES];
} zygote = { .keeper = -1, .socket = -1 };

/* --- forking it ----------------------------------------------------------------------------------------------------- */

/* The pair's first end is ours from now on. */
static void
take_keeper(pid_t pid, const int *pair)
{
	close(pair[1]);
	zygote.keeper_pid = pid;
	zygote.keeper = pair[0];
}

static int
start_keeper(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set_errno("the zygote's keeper");
	pid_t pid = fork();
	if (pid == 0)
		zygote_keep(pair[1]);
	if (pid >= 0) {
		take_keeper(pid, pair);
		return 0;
	}
	error_set_errno("fork of the zygote's keeper");
	close(pair[0]);
	close(pair[1]);
	return -1;
}

static void
bury_keeper(void)
{
	if (zygote.keeper >= 0)
		close(zygote.keeper);
	zygote.keeper = -1;
	if (zygote.keeper_pid > 0) {
		kill(zygote.keeper_pid, SIGKILL);
		while (waitpid(zygote.keeper_pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	zygote.keeper_pid = 0;
}

/*
 * A keeper in place of one that has died. The node is large and has threads by now, so this one is
 * no fork of it but the program started anew.
 */
static int
replace_keeper(void)
{
	char *arguments[] = { "tidepool", ZYGOTE_KEEPER_ARGUMENT, NULL };
	posix_spawn_file_actions_t actions;
	int pair[2];
	pid_t pid = 0;
	bury_keeper();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set_errno("the zygote's keeper");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO);
	int status = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (status == 0) {
		take_keeper(pid, pair);
		return 0;
	}
	close(pair[0]);
	close(pair[1]);
	return error_set(ERR_UNAVAILABLE, "starting the zygote's keeper: %s", strerror(status));
}

/* Have a zygote forked; our end of its socket, or -1 with the error set. */
static int
order_zygote(void)
{
	static const char order = 'z';
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set_errno("the zygote's socket");
	int status = zygote_send_message(zygote.keeper, &order, sizeof(order), &pair[1], 1);
	close(pair[1]);
	if (status == 0)
		return pair[0];
	close(pair[0]);
	return error_set(ERR_UNAVAILABLE, "the zygote's keeper has gone: %s", strerror(errno));
}

static int
take_hello(struct zygote_hello *hello)
{
	hello->text[sizeof(hello->text) - 1] = '\0';
	if (hello->status != 0)
		return error_set(ERR_UNAVAILABLE, "the zygote: %s", hello->text);
	memcpy(zygote.isolation, hello->text, sizeof(zygote.isolation));
	zygote.is_ready = true;
	return 0;
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
	return take_hello(&hello);
}

int
zygote_start(void)
{
	assert(zygote.socket < 0);
	if (start_keeper() != 0)
		return -1;
	zygote.socket = order_zygote();
	if (zygote.socket < 0 || wait_hello() != 0) {
		zygote_stop();
		return -1;
	}
	return 0;
}

int
zygote_restart(void)
{
	int socket = order_zygote();
	if (socket < 0 && (replace_keeper() != 0 || (socket = order_zygote()) < 0))
		return -1;
	int status = dup3(socket, zygote.socket, O_CLOEXEC);
	close(socket);
	if (status < 0)
		return error_set_errno("the zygote's socket");
	zygote.is_ready = false;
	return 0;
}

void
zygote_stop(void)
{
	if (zygote.socket >= 0)
		close(zygote.socket);
	zygote.socket = -1;
	bury_keeper();
	zygote.is_ready = false;
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
	if (zygote.socket < 0)
		return error_set(ERR_UNAVAILABLE, "no zygote runs");
	if (zygote_send_message(zygote.socket, command, sizeof(*command), fds, fd_count) == 0)
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
zygote_rank(uint32_t id, uint32_t rank)
{
	struct zygote_command command = { .verb = ZYGOTE_RANK, .id = id, .value = rank };
	return send_command(&command, NULL, 0);
}

int
zygote_part(bool apart)
{
	struct zygote_command command = { .verb = ZYGOTE_PART, .value = apart };
	return send_command(&command, NULL, 0);
}

/* The number here of the process that the file stands for; 0 where it cannot be known. */
static int32_t
pid_of(int pidfd)
{
	char path[64], line[128];
	int pid = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	FILE *info = fopen(path, "re");
	while (info != NULL && fgets(line, sizeof(line), info) != NULL)
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (info != NULL)
		fclose(info);
	return pid > 0 ? pid : 0;
}

int
zygote_receive(struct zygote_report *report)
{
	union {
		struct zygote_hello hello;
		struct zygote_report report;
	} message;
	int fds[ZYGOTE_FDS];
	if (zygote.socket < 0)
		return error_set(ERR_UNAVAILABLE, "no zygote runs");
	ssize_t got;
	do
		got = zygote_receive_message(zygote.socket, &message, sizeof(message), fds);
	while (got == sizeof(message.hello) && !zygote.is_ready && take_hello(&message.hello) == 0);
	if (got == sizeof(message.report)) {
		*report = message.report;
		if (fds[0] >= 0) {
			report->pid = pid_of(fds[0]);
			close(fds[0]);
		}
		return 1;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return error_set(ERR_UNAVAILABLE, "the zygote has gone");
}
