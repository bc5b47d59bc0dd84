// Allocations between guard pages.
#include "memory.h"

#include "cell.h"

#include <string.h>
#include <sys/mman.h>

#include <vector>

using namespace std;

map<uintptr_t, Allocation> allocations;
uintptr_t sim_memory, sim_memory_bytes;

namespace {

const uintptr_t PAGE = 4096, ALIGN = 256;
const uintptr_t FILL = ~uintptr_t(0);

// Region is address space that allocations are cut from, front to back.
struct Region {
	uintptr_t start, next, end;

	bool has(uintptr_t a) const { return a >= start && a < end; }
};

Region devices, host; // the two halves of one reservation
vector<Allocation *> live;
map<int, size_t> used; // by device
int count;

bool prepare() {
	if (sim_memory) return true;
	for (uintptr_t bytes = uintptr_t(1) << 41; bytes >= uintptr_t(1) << 33; bytes /= 4) {
		void *p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED) continue;
		madvise(p, bytes, MADV_DONTDUMP);
		const uintptr_t start = reinterpret_cast<uintptr_t>(p), middle = start + bytes / 2;
		devices = {start, start, middle};
		host = {middle, middle, start + bytes};
		sim_memory = start, sim_memory_bytes = bytes;
		return true;
	}
	return false;
}

uintptr_t up(uintptr_t n, uintptr_t to) { return (n + to - 1) / to * to; }

// intact says whether the bytes from a to b are as they were filled.
bool intact(uintptr_t a, uintptr_t b, uintptr_t *at) {
	for (; a < b && a % sizeof FILL; a++)
		if (*reinterpret_cast<unsigned char *>(a) != 0xff) return *at = a, false;
	uintptr_t all = FILL, from = a;
	for (; a + sizeof FILL <= b; a += sizeof FILL) all &= *reinterpret_cast<uintptr_t *>(a);
	if (all != FILL) a = from;
	for (; a < b; a++)
		if (*reinterpret_cast<unsigned char *>(a) != 0xff) return *at = a, false;
	return true;
}

} // namespace

Allocation *allocate(size_t bytes, bool is_host, const void *context, int device) {
	Region &r = is_host ? host : devices;
	if (!prepare()) return nullptr;
	const uintptr_t size = up(bytes, ALIGN), pages = up(size, PAGE), at = r.next + PAGE;
	if (pages < bytes || r.end - r.next < pages + 2 * PAGE) return nullptr;
	if (mprotect(reinterpret_cast<void *>(at), pages, PROT_READ | PROT_WRITE)) return nullptr;
	r.next = at + pages;
	memset(reinterpret_cast<void *>(at), 0xff, pages);
	Allocation a = {++count, is_host, true, at + pages - size, bytes, at, pages, context, device};
	Allocation *p = &(allocations[at] = a);
	live.push_back(p);
	if (!is_host) used[device] += size;
	return p;
}

void release(Allocation *a) {
	a->live = false;
	for (size_t i = 0; i < live.size(); i++)
		if (live[i] == a) {
			live.erase(live.begin() + i);
			break;
		}
	if (!a->host) used[a->device] -= up(a->bytes, ALIGN);
	void *p = reinterpret_cast<void *>(a->map);
	madvise(p, a->map_bytes, MADV_DONTNEED);
	mprotect(p, a->map_bytes, PROT_NONE);
}

// nearest is the allocation that an address lies in or next to.
static Allocation *nearest(uintptr_t address) {
	auto after = allocations.upper_bound(address);
	Allocation *next = after == allocations.end() ? nullptr : &after->second;
	if (after == allocations.begin()) return next && next->map - address <= PAGE ? next : nullptr;
	Allocation *a = &(--after)->second;
	uintptr_t end = a->map + a->map_bytes;
	if (address < end) return a;
	if (next && next->map - address < address - end && next->map - address <= PAGE) return next;
	return address - end <= PAGE ? a : nullptr;
}

Allocation *find(uintptr_t address, size_t n) {
	auto after = allocations.upper_bound(address);
	if (after == allocations.begin()) return nullptr;
	Allocation *a = &(--after)->second;
	if (!a->live || address < a->address) return nullptr;
	uintptr_t offset = address - a->address;
	return offset <= a->bytes && n <= a->bytes - offset ? a : nullptr;
}

bool ours(uintptr_t address) { return devices.has(address) || host.has(address); }

string describe(uintptr_t address) {
	char hex[32];
	snprintf(hex, sizeof hex, "%#zx", size_t(address));
	Allocation *a = nearest(address);
	if (!a) return string("address ") + hex + ", where no allocation is";
	string s = "offset " + to_string(intptr_t(address - a->address)) + " of allocation " + to_string(a->number) + " (" +
		to_string(a->bytes) + " bytes" + (a->host ? " of the host)" : ")");
	if (address < a->address) s += ", " + to_string(a->address - address) + " bytes before its start";
	else if (address >= a->address + a->bytes)
		s += ", " + to_string(address - a->address - a->bytes) + " bytes past its end";
	if (!a->live) s += ", which was freed";
	return s;
}

string spoiled() {
	uintptr_t at;
	for (Allocation *a : live)
		if (!intact(a->map, a->address, &at) || !intact(a->address + a->bytes, a->map + a->map_bytes, &at)) {
			string s = describe(at);
			memset(reinterpret_cast<void *>(a->map), 0xff, a->address - a->map);
			memset(
				reinterpret_cast<void *>(a->address + a->bytes), 0xff, a->map + a->map_bytes - a->address - a->bytes);
			return s;
		}
	return "";
}

size_t used_bytes(int device) { return used[device]; }
