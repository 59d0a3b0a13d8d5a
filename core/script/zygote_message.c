/* Messages between core, keeper and zygote: plain structs, with files beside them. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "script/zygote.h"

int
zygote_send_message(int socket, const void *message, size_t bytes, const int *fds, size_t fd_count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(ZYGOTE_FDS * sizeof(int))] = { 0 };
	struct iovec piece = { (void *)message, bytes };
	struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1 };
	if (fd_count > 0) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *files = CMSG_FIRSTHDR(&header);
		files->cmsg_level = SOL_SOCKET;
		files->cmsg_type = SCM_RIGHTS;
		files->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(files), fds, fd_count * sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)bytes ? 0 : -1;
}

ssize_t
zygote_receive_message(int socket, void *message, size_t bytes, int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(ZYGOTE_FDS * sizeof(int))];
	struct iovec piece = { message, bytes };
	struct msghdr header = { .msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	for (int i = 0; i < ZYGOTE_FDS; i++)
		fds[i] = -1;
	ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *files = got > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	if (files != NULL && files->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(files), files->cmsg_len - CMSG_LEN(0));
	return got;
}
