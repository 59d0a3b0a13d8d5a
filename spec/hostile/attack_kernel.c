#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "spec/hostile/attack.h"

static void
fork_bomb(void)
{
	for (;;)
		fork();
}

static void
start_thread(void)
{
	static char stack[65536];
	syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, stack + sizeof(stack), 0, 0, 0);
}

static void
run_program(void)
{
	execl("/bin/sh", "sh", "-c", "touch /tmp/owned", (char *)NULL);
}

static void
run_program_in_memory(void)
{
	syscall(SYS_memfd_create, "x", 0);
}

static void
trace_parent(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void
write_to_parent(void)
{
	char byte = 0;
	struct iovec local = { &byte, 1 }, remote = { (void *)&self, 1 };
	syscall(SYS_process_vm_writev, 1, &local, 1, &remote, 1, 0);
}

static void
kill_parent(void)
{
	syscall(SYS_kill, 1, SIGKILL);
}

static void
kill_all(void)
{
	syscall(SYS_kill, -1, SIGKILL);
}

static void
open_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void
open_file(void)
{
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
}

static void
open_relative(void)
{
	syscall(SYS_openat, AT_FDCWD, "..", O_RDONLY | O_DIRECTORY);
}

static void
mount_something(void)
{
	mount("none", "/", "tmpfs", 0, NULL);
}

static void
leave_namespaces(void)
{
	syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS);
}

static void
become_root(void)
{
	syscall(SYS_setresuid, 0, 0, 0);
}

static void
make_io_uring(void)
{
	struct io_uring_params params = { 0 };
	syscall(SYS_io_uring_setup, 8, &params);
}

static void
load_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void
undo_confinement(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void
use_32_bit_calls(void)
{
	/* getpid's number in the old table, where it would be allowed if numbers alone were looked at. */
	__asm__ volatile("int $0x80" : : "a"(20) : "memory");
}

static void
crash(void)
{
	__builtin_trap();
}

static void
leave(void)
{
	_exit(0);
}

/* Memory beyond the limit is not there, however it is asked for. */
static void
take_memory(void)
{
	for (;;) {
		char *more = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (more == MAP_FAILED)
			_exit(3);
		memset(more, 1, 64 << 20);
	}
}

const struct attack attacks_on_kernel[] = {
	ATTACK(fork_bomb),
	ATTACK(start_thread),
	ATTACK(run_program),
	ATTACK(run_program_in_memory),
	ATTACK(trace_parent),
	ATTACK(write_to_parent),
	ATTACK(kill_parent),
	ATTACK(kill_all),
	ATTACK(open_socket),
	ATTACK(open_file),
	ATTACK(open_relative),
	ATTACK(mount_something),
	ATTACK(leave_namespaces),
	ATTACK(become_root),
	ATTACK(make_io_uring),
	ATTACK(load_bpf),
	ATTACK(undo_confinement),
	ATTACK(use_32_bit_calls),
	ATTACK(crash),
	ATTACK(leave),
	ATTACK(take_memory),
	{ 0 },
};
