#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"

/* Neighbours in a row that count; the last one inclusive. */
struct run {
	uint32_t row;
	uint32_t first;
	uint32_t last;
	/* Index of a run of the same region, nearer to the one that stands for it; that one has its own. */
	uint32_t parent;
};

struct point {
	double x;
	double y;
};

struct finder {
	const float *map;
	uint32_t width;
	uint32_t height;
	float threshold;
	bool grow;
	struct run *runs;
	uint32_t count;
	uint32_t room;
	/* Runs in the order of their regions. */
	uint32_t *order;
	/* Ends of one region's runs, and the hull of them. */
	struct point *points;
	struct point *hull;
};

/* --- runs ----------------------------------------------------------------------------------------------------------- */

static bool
is_above(const struct finder *finder, uint32_t x, uint32_t y)
{
	return finder->map[(size_t)y * finder->width + x] > finder->threshold;
}

static bool
counts(const struct finder *finder, uint32_t x, uint32_t y)
{
	if (is_above(finder, x, y))
		return true;
	if (!finder->grow)
		return false;
	return (x > 0 && is_above(finder, x - 1, y)) || (y > 0 && is_above(finder, x, y - 1)) ||
	       (x > 0 && y > 0 && is_above(finder, x - 1, y - 1));
}

static uint32_t
root_of(struct finder *finder, uint32_t run)
{
	struct run *runs = finder->runs;
	while (runs[run].parent != run) {
		runs[run].parent = runs[runs[run].parent].parent;
		run = runs[run].parent;
	}
	return run;
}

/* The earlier one stands for both. */
static void
join(struct finder *finder, uint32_t a, uint32_t b)
{
	a = root_of(finder, a);
	b = root_of(finder, b);
	finder->runs[a < b ? b : a].parent = a < b ? a : b;
}

static int
add_run(struct finder *finder, uint32_t row, uint32_t first, uint32_t last)
{
	if (finder->count == finder->room) {
		uint32_t room = finder->room == 0 ? 1024 : finder->room * 2;
		struct run *runs = realloc(finder->runs, room * sizeof(*runs));
		if (runs == NULL)
			return error_set(ERR_RESOURCE_EXHAUSTED, "regions: no memory for %u runs",
					 room);
		finder->runs = runs;
		finder->room = room;
	}
	finder->runs[finder->count] = (struct run){ row, first, last, finder->count };
	finder->count++;
	return 0;
}

static int
find_runs(struct finder *finder, uint32_t row)
{
	for (uint32_t x = 0; x < finder->width; x++) {
		if (!counts(finder, x, row))
			continue;
		uint32_t first = x;
		while (x + 1 < finder->width && counts(finder, x + 1, row))
			x++;
		if (add_run(finder, row, first, x) != 0)
			return -1;
	}
	return 0;
}

/* Join runs from `above` on, which end at `here`, with those behind them; corners touch. */
static void
join_rows(struct finder *finder, uint32_t above, uint32_t here)
{
	const struct run *runs = finder->runs;
	uint32_t upper = above;
	for (uint32_t run = here; run < finder->count; run++) {
		while (upper < here && runs[upper].last + 1 < runs[run].first)
			upper++;
		for (uint32_t i = upper; i < here && runs[i].first <= runs[run].last + 1; i++)
			join(finder, i, run);
	}
}

static int
find_all_runs(struct finder *finder)
{
	uint32_t above = 0;
	for (uint32_t row = 0; row < finder->height; row++) {
		uint32_t here = finder->count;
		if (find_runs(finder, row) != 0)
			return -1;
		join_rows(finder, above, here);
		above = here;
	}
	return 0;
}

/* --- the rectangle -------------------------------------------------------------------------------------------------- */

static double
turn(const struct point *a, const struct point *b, const struct point *c)
{
	return (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
}

static uint32_t
chain(struct point *hull, uint32_t from, uint32_t least, const struct point *point)
{
	while (from >= least && turn(&hull[from - 2], &hull[from - 1], point) <= 0)
		from--;
	hull[from] = *point;
	return from + 1;
}

/* Convex hull of points in the order of y, then x (Andrew's monotone chain). How many points it has. */
static uint32_t
find_hull(const struct point *points, uint32_t count, struct point *hull)
{
	uint32_t size = 0;
	for (uint32_t i = 0; i < count; i++)
		size = chain(hull, size, 2, &points[i]);
	uint32_t least = size + 1;
	for (uint32_t i = count - 1; i-- > 0;)
		size = chain(hull, size, least, &points[i]);
	return size > 1 ? size - 1 : size;
}

struct extent {
	double least;
	double most;
};

static struct extent
extent_along(const struct point *hull, uint32_t count, double x, double y)
{
	struct extent extent = { INFINITY, -INFINITY };
	for (uint32_t i = 0; i < count; i++) {
		double place = hull[i].x * x + hull[i].y * y;
		extent.least = fmin(extent.least, place);
		extent.most = fmax(extent.most, place);
	}
	return extent;
}

/* The rectangle along (x, y) around the hull, if it is smaller than *area. */
static void
try_direction(const struct point *hull, uint32_t count, double x, double y, double *area,
	      struct image_region *region)
{
	struct extent along = extent_along(hull, count, x, y);
	struct extent across = extent_along(hull, count, -y, x);
	double width = along.most - along.least, height = across.most - across.least;
	if (!(width * height < *area))
		return;
	double u = (along.least + along.most) / 2, v = (across.least + across.most) / 2;
	*area = width * height;
	region->x = (float)(u * x - v * y);
	region->y = (float)(u * y + v * x);
	region->width = (float)width;
	region->height = (float)height;
	region->cosine = (float)x;
	region->sine = (float)y;
}

/* The smallest one has a side on the hull (Freeman and Shapira, 1975). */
static void
fit_rectangle(const struct point *hull, uint32_t count, struct image_region *region)
{
	double area = INFINITY;
	for (uint32_t i = 0; i < count; i++) {
		const struct point *a = &hull[i], *b = &hull[(i + 1) % count];
		double length = hypot(b->x - a->x, b->y - a->y);
		if (length > 0)
			try_direction(hull, count, (b->x - a->x) / length, (b->y - a->y) / length,
				      &area, region);
	}
	if (area == INFINITY)
		try_direction(hull, count, 1, 0, &area, region);
}

/* --- its score ------------------------------------------------------------------------------------------------------ */

/* Corners of the rectangle in turn, as whole cells. */
static void
corners_of(const struct image_region *region, struct point corners[4])
{
	static const float sides[4][2] = { { -1, -1 }, { 1, -1 }, { 1, 1 }, { -1, 1 } };
	for (int i = 0; i < 4; i++) {
		float u = sides[i][0] * region->width / 2, v = sides[i][1] * region->height / 2;
		corners[i].x = floor(region->x + u * region->cosine - v * region->sine + 1e-3);
		corners[i].y = floor(region->y + u * region->sine + v * region->cosine + 1e-3);
	}
}

/* Where row y crosses the four sides. */
static struct extent
crossing(const struct point corners[4], double y)
{
	struct extent extent = { INFINITY, -INFINITY };
	for (int i = 0; i < 4; i++) {
		const struct point *a = &corners[i], *b = &corners[(i + 1) % 4];
		double low = fmin(a->y, b->y), high = fmax(a->y, b->y);
		if (y < low || y > high)
			continue;
		double part = a->y == b->y ? 0 : (y - a->y) / (b->y - a->y);
		double x = a->x + part * (b->x - a->x);
		extent.least = fmin(extent.least, a->y == b->y ? fmin(a->x, b->x) : x);
		extent.most = fmax(extent.most, a->y == b->y ? fmax(a->x, b->x) : x);
	}
	return extent;
}

static double
within(double value, uint32_t size)
{
	return fmin(fmax(value, 0), (double)size - 1);
}

static float
mean_within(const struct finder *finder, const struct image_region *region)
{
	struct point corners[4];
	corners_of(region, corners);
	double top = INFINITY, bottom = -INFINITY, sum = 0, cells = 0;
	for (int i = 0; i < 4; i++) {
		top = fmin(top, corners[i].y);
		bottom = fmax(bottom, corners[i].y);
	}
	top = within(top, finder->height);
	bottom = within(bottom, finder->height);
	for (double y = top; y <= bottom; y++) {
		struct extent row = crossing(corners, y);
		if (!(row.least <= row.most))
			continue;
		uint32_t first = (uint32_t)within(row.least + 0.5, finder->width);
		uint32_t last = (uint32_t)within(row.most + 0.5, finder->width);
		const float *values = finder->map + (size_t)y * finder->width;
		for (uint32_t x = first; x <= last; x++)
			sum += values[x];
		cells += last - first + 1;
	}
	return cells > 0 ? (float)(sum / cells) : 0;
}

/* --- all of them ---------------------------------------------------------------------------------------------------- */

/* Runs by region, and within it from top to bottom: counted, then put in place. */
static int
sort_runs(struct finder *finder)
{
	uint32_t count = finder->count;
	uint32_t *place = calloc((size_t)count + 1, sizeof(*place));
	finder->order = malloc(((size_t)count + 1) * sizeof(*finder->order));
	finder->points = malloc(((size_t)count + 1) * 2 * sizeof(*finder->points));
	finder->hull = malloc(((size_t)count + 1) * 4 * sizeof(*finder->hull));
	if (place == NULL || finder->order == NULL || finder->points == NULL ||
	    finder->hull == NULL) {
		free(place);
		return error_set(ERR_RESOURCE_EXHAUSTED, "regions: no memory for %u runs", count);
	}
	for (uint32_t i = 0; i < count; i++)
		place[root_of(finder, i) + 1]++;
	for (uint32_t i = 0; i < count; i++)
		place[i + 1] += place[i];
	for (uint32_t i = 0; i < count; i++)
		finder->order[place[root_of(finder, i)]++] = i;
	free(place);
	return 0;
}

/* The region of the runs at order[first …]; where the next one begins. */
static uint32_t
measure(struct finder *finder, uint32_t first, struct image_region *region)
{
	uint32_t root = root_of(finder, finder->order[first]), at = first, points = 0;
	memset(region, 0, sizeof(*region));
	for (; at < finder->count && root_of(finder, finder->order[at]) == root; at++) {
		const struct run *run = &finder->runs[finder->order[at]];
		finder->points[points++] = (struct point){ run->first, run->row };
		if (run->last > run->first)
			finder->points[points++] = (struct point){ run->last, run->row };
		region->cells += run->last - run->first + 1;
	}
	uint32_t corners = find_hull(finder->points, points, finder->hull);
	fit_rectangle(finder->hull, corners, region);
	region->score = mean_within(finder, region);
	return at;
}

int
image_regions(const float *map, uint32_t width, uint32_t height, float threshold, bool grow,
	      struct image_region *regions, uint32_t room)
{
	struct finder finder = {
		.map = map, .width = width, .height = height, .threshold = threshold, .grow = grow
	};
	int found = -1;
	if (find_all_runs(&finder) == 0 && sort_runs(&finder) == 0) {
		uint32_t at = 0, count = 0;
		while (at < finder.count && count < room)
			at = measure(&finder, at, &regions[count++]);
		found = (int)count;
	}
	free(finder.runs);
	free(finder.order);
	free(finder.points);
	free(finder.hull);
	return found;
}

/* --- points --------------------------------------------------------------------------------------------------------- */

static int
compare_points(const void *left, const void *right)
{
	const struct point *a = left, *b = right;
	if (a->y != b->y)
		return a->y < b->y ? -1 : 1;
	return (a->x > b->x) - (a->x < b->x);
}

int
image_rectangle(const float *points, uint32_t count, struct image_region *region)
{
	struct point *sorted = malloc(((size_t)count * 3 + 1) * sizeof(*sorted));
	if (sorted == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "rectangle: no memory for %u points",
				 count);
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = (struct point){ points[2 * i], points[2 * i + 1] };
	qsort(sorted, count, sizeof(*sorted), compare_points);
	memset(region, 0, sizeof(*region));
	region->cells = count;
	uint32_t corners = find_hull(sorted, count, sorted + count);
	fit_rectangle(sorted + count, corners, region);
	free(sorted);
	return 0;
}
