#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "script/child.h"

enum {
	/* Workers of a node that runs as root get user ids from here on, so that none can touch another. */
	WORKER_UID_FIRST = 0x7d000000,
	WORKER_UIDS = 1 << 20,
	/* Address space for stacks and machine code beyond what the script may use. */
	SLACK_BYTES = 64 << 20,
};

/* All that a worker asks of the kernel: memory, its two wakes, the time, and its end. */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(sched_yield),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static struct {
	struct sock_fprog filter;
	/* Address space of the zygote. */
	rlim_t base_bytes;
} sandbox;

/* --- the filter ----------------------------------------------------------------------------------------------------- */

/* Read the program that libseccomp wrote to fd. */
static int
read_filter(int fd)
{
	off_t bytes = lseek(fd, 0, SEEK_END);
	struct sock_filter *program = bytes > 0 ? malloc((size_t)bytes) : NULL;
	if (program == NULL || pread(fd, program, (size_t)bytes, 0) != bytes) {
		free(program);
		return error_set(ERR_INTERNAL, "reading the system-call filter");
	}
	sandbox.filter.filter = program;
	sandbox.filter.len = (unsigned short)((size_t)bytes / sizeof(*program));
	return 0;
}

static int
add_rules(scmp_filter_ctx context)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
			return error_set(ERR_INTERNAL, "adding rule %zu of the filter", i);
	return 0;
}

/* Compiled once here; a worker only hands the program to the kernel. */
static int
make_filter(void)
{
	int status = -1;
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	if (context == NULL || fd < 0)
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the system-call filter");
	else if (add_rules(context) == 0) {
		if (seccomp_export_bpf(context, fd) != 0)
			error_set(ERR_INTERNAL, "compiling the system-call filter");
		else
			status = read_filter(fd);
	}
	if (fd >= 0)
		close(fd);
	if (context != NULL)
		seccomp_release(context);
	return status;
}

/* Bytes that this process has mapped; read before the root is emptied. */
static rlim_t
address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

int
child_sandbox_prepare(void)
{
	sandbox.base_bytes = address_space();
	return CHILD_IS_CONFINED ? make_filter() : 0;
}

const char *
child_isolation(void)
{
	if (!CHILD_IS_CONFINED)
		return "(sanitizer build: none)";
	return geteuid() == 0 ? "seccomp no_new_privs rlimits uid" : "seccomp no_new_privs rlimits";
}

/* --- putting it in force -------------------------------------------------------------------------------------------- */

static int
limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit both = { most, most };
	return setrlimit(what, &both);
}

static int
limit_resources(uint64_t memory_bytes)
{
	return limit(RLIMIT_CORE, 0) == 0 && limit(RLIMIT_FSIZE, 0) == 0 &&
			       limit(RLIMIT_NPROC, 0) == 0 && limit(RLIMIT_MEMLOCK, 0) == 0 &&
			       limit(RLIMIT_MSGQUEUE, 0) == 0 && limit(RLIMIT_NOFILE, 0) == 0 &&
			       limit(RLIMIT_AS, sandbox.base_bytes + memory_bytes + SLACK_BYTES) ==
				       0
		       ? 0
		       : -1;
}

/* Root's workers become nobody, each another one; a node without root has nothing to drop. */
static int
drop_user(uint32_t id)
{
	uid_t uid = WORKER_UID_FIRST + id % WORKER_UIDS;
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0)
		return -1;
	return setresuid(uid, uid, uid);
}

/* All capabilities: in a user namespace of its own a process has every one, though they reach no further. */
static int
drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	return (int)syscall(SYS_capset, &header, none);
}

int
child_confine(uint32_t id, uint64_t memory_bytes)
{
	if (!CHILD_IS_CONFINED)
		return prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The death signal goes with a change of user, so it comes after. */
	if (limit_resources(memory_bytes) != 0 || drop_user(id) != 0 || drop_capabilities() != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &sandbox.filter);
}
