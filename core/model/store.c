#include "model/store.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const uintptr_t page_bytes = 4096;

void
store_create(struct store *store, uint64_t budget, store_drop_f *drop, void *context)
{
	*store = (struct store){ .budget = budget, .drop = drop, .context = context };
	list_create(&store->in_memory);
}

/* Advise the kernel on the whole pages of the image. An image in anonymous memory has no file to come back from. */
static void
advise(const struct image *image, int advice)
{
	uintptr_t from = (uintptr_t)image->data, to = from + image->bytes;
	from = (from + page_bytes - 1) & ~(page_bytes - 1);
	to &= ~(page_bytes - 1);
	if (image->path != NULL && to > from)
		madvise((void *)from, to - from, advice);
}

/* Pages that no mapping uses stay in the kernel's cache until it is told, or needs them. */
static void
drop_cached(const struct image *image)
{
	int fd = image->path == NULL ? -1 : open(image->path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

void
store_drop_pages(const struct image *image)
{
	advise(image, MADV_DONTNEED);
	drop_cached(image);
}

static void
drop(struct store *store, struct store_entry *entry)
{
	list_remove(&entry->of_store);
	entry->is_in_memory = false;
	store->used -= entry->image->bytes;
	store->drops++;
	if (store->drop != NULL)
		store->drop(store->context, entry);
	else
		store_drop_pages(entry->image);
}

static void
make_room(struct store *store)
{
	list_each_safe(link, &store->in_memory) {
		struct store_entry *entry = list_entry(link, struct store_entry, of_store);
		if (store->used <= store->budget)
			return;
		if (entry->pins == 0)
			drop(store, entry);
	}
}

void
store_add(struct store *store, struct store_entry *entry, const struct image *image)
{
	(void)store;
	*entry = (struct store_entry){ .image = image };
	list_create(&entry->of_store);
}

void
store_hold(struct store *store, struct store_entry *entry, uint64_t bytes)
{
	assert(!entry->is_in_memory);
	entry->besides = bytes > entry->image->bytes ? bytes - entry->image->bytes : 0;
	store->used += entry->besides;
	store_pin(store, entry);
}

void
store_let_go(struct store *store, struct store_entry *entry)
{
	store->used -= entry->besides;
	entry->besides = 0;
	store_unpin(store, entry);
}

void
store_remove(struct store *store, struct store_entry *entry)
{
	assert(entry->pins == 0);
	if (!entry->is_in_memory)
		return;
	list_remove(&entry->of_store);
	store->used -= entry->image->bytes;
	entry->is_in_memory = false;
}

bool
store_pin(struct store *store, struct store_entry *entry)
{
	bool was_on_disk = !entry->is_in_memory;
	entry->pins++;
	if (entry->is_in_memory) {
		list_remove(&entry->of_store);
	} else {
		entry->is_in_memory = true;
		store->used += entry->image->bytes;
		store->reads++;
	}
	list_push_back(&store->in_memory, &entry->of_store);
	make_room(store);
	return was_on_disk;
}

void
store_unpin(struct store *store, struct store_entry *entry)
{
	assert(entry->pins > 0);
	entry->pins--;
	make_room(store);
}
