#include "base/scrap.h"

#include <stdlib.h>
#include <uv.h>

enum {
	/* Freed at once when smaller: to hand it to a thread takes as long. */
	SCRAP_BYTES_MIN = 256 << 10,
	/* Pieces that wait at most. */
	SCRAP_PIECES_MAX = 64,
};

struct piece {
	uv_work_t work;
	scrap_f *free_it;
	void *memory;
	size_t bytes;
};

/* Pieces that wait; the loop thread's. */
static unsigned waiting;

static void
on_work(uv_work_t *work)
{
	struct piece *piece = work->data;
	piece->free_it(piece->memory, piece->bytes);
}

static void
on_done(uv_work_t *work, int status)
{
	struct piece *piece = work->data;
	if (status != 0)
		piece->free_it(piece->memory, piece->bytes);
	waiting--;
	free(piece);
}

void
scrap(struct uv_loop_s *loop, scrap_f *free_it, void *memory, size_t bytes)
{
	struct piece *piece = NULL;
	if (bytes >= SCRAP_BYTES_MIN && waiting < SCRAP_PIECES_MAX && uv_loop_alive(loop))
		piece = malloc(sizeof(*piece));
	if (piece == NULL) {
		free_it(memory, bytes);
		return;
	}
	*piece = (struct piece){ .free_it = free_it, .memory = memory, .bytes = bytes };
	piece->work.data = piece;
	waiting++;
	if (uv_queue_work(loop, &piece->work, on_work, on_done) != 0)
		on_done(&piece->work, UV_ECANCELED);
}

void
scrap_malloced(void *memory, size_t bytes)
{
	(void)bytes;
	free(memory);
}
