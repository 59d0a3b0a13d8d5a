#include "trap.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "vram.h"

static struct sigaction before;
static __thread void (*trap_caught)(void);
static __thread const void *touched;

/* Let whoever handled it before have it: the access is made once more. */
static void
pass_on(void)
{
	sigaction(SIGSEGV, &before, NULL);
}

static void
say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));
	(void)written;
}

static void
handle(int number, siginfo_t *info, void *context)
{
	int device;
	void (*caught)(void) = trap_caught;
	touched = info->si_addr;
#if defined(__x86_64__)
	if (caught != NULL) {
		greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
		registers[REG_RSP] = (greg_t)(((uintptr_t)registers[REG_RSP] - 256) / 16 * 16 - 8);
		registers[REG_RIP] = (greg_t)(uintptr_t)caught;
		return;
	}
#endif
	if (caught == NULL && vram_find(info->si_addr, 1, &device) != VRAM_ELSEWHERE)
		say("standin: host code touches device memory\n");
	pass_on();
}

void
trap_install(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, &before);
}

void
trap_set(void (*caught)(void))
{
	trap_caught = caught;
}

const void *
trap_address(void)
{
	return touched;
}
