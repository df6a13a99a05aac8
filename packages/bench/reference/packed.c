/* A packed ring, and loops that play one of its ends: they check nothing and write the ring's words. */
#include "packed-ring.h"

static unsigned descriptors_of_request;
static struct list list;
static int fill_list(void);

static uint16_t peer_place = 0x8000;

/* Returns the requests that the driver made available; the first one's flags last. */
__attribute__((noinline)) static void play_device(unsigned count)
{
	uint32_t written = descriptors_of_request == 1 ? 512 : 1;
	uint16_t first = peer_place;

	for (unsigned i = 0; i < count; i++) {
		uint16_t slot = peer_place & 0x7fff;
		uint16_t last = advance(peer_place, descriptors_of_request - 1) & 0x7fff;
		slots[slot].id = slots[last].id;
		slots[slot].length = written;
		if (i > 0)
			slots[slot].flags = used_flags(peer_place) | WRITE;
		peer_place = advance(peer_place, descriptors_of_request);
	}
	publish_field(slots[first & 0x7fff].flags, (uint16_t)(used_flags(first) | WRITE));
}

/* Makes lists available. A used descriptor took the place of an earlier one, so each turn writes all descriptors. */
__attribute__((noinline)) static void play_driver(unsigned count)
{
	uint16_t first = peer_place, first_flags = 0;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < descriptors_of_request; k++) {
			uint16_t slot = peer_place & 0x7fff;
			uint16_t flags = (uint16_t)((k >= list.readable ? WRITE : 0) |
						    (k == descriptors_of_request - 1 ? 0 : NEXT) | available_flags(peer_place));
			slots[slot].address = list.address[k];
			slots[slot].length = list.length[k];
			slots[slot].id = (uint16_t)i;
			if (i + k == 0)
				first_flags = flags;
			else
				slots[slot].flags = flags;
			peer_place = advance(peer_place, 1);
		}
	}
	publish_field(slots[first & 0x7fff].flags, first_flags);
}

static void prepare_driver(unsigned count)
{
	(void)count;
	fill_list();
}

#include "measure.h"
