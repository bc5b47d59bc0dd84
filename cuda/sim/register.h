// Included by the wrapper that build.sh writes around each .cu: SIM_KERNEL enters a kernel in the cell's table, with its
// parameter types, and makes the loop that calls it for many threads.
#ifndef SIGMAZ_SIM_REGISTER_H
#define SIGMAZ_SIM_REGISTER_H

#include <tuple>
#include <type_traits>

#include "cell.h"

extern "C" SIM_HIDDEN SimKernel *sim_kernels;

namespace {

template <class T>
constexpr SimParam sim_param() {
	if constexpr (std::is_pointer_v<T>) {
		using P = std::remove_pointer_t<T>;
		if constexpr (std::is_void_v<P>) return {sizeof(T), 1, 'p'};
		else return {sizeof(T), alignof(P), 'p'};
	} else {
		return {sizeof(T), alignof(T), std::is_floating_point_v<T> ? 'f' : std::is_integral_v<T> ? 'i' : '?'};
	}
}

// The kernel is a constant here, so that the compiler can put its body into the loop.
template <auto F, class Function = decltype(F)> struct SimThunk;
template <auto F, class... A>
struct SimThunk<F, void (*)(A...)> {
	static constexpr SimParam params[sizeof...(A) + 1] = {sim_param<A>()..., {0, 0, 0}};
	static constexpr int count = sizeof...(A);

	template <size_t... I>
	static void loop(void *const *args, const uint3 *tids, int n, std::index_sequence<I...>) {
		const std::tuple<A...> a(*static_cast<const A *>(args[I])...);
		(void)a;
		for (int i = 0; i < n; i++) {
			sim_thread = tids[i];
			F(std::get<I>(a)...);
		}
	}
	static void run(void *const *args, const uint3 *tids, int n) {
		loop(args, tids, n, std::index_sequence_for<A...>());
	}
};

struct SimEntry {
	SimKernel k;
	SimEntry(SimKernel kernel) : k(kernel) {
		k.next = sim_kernels;
		sim_kernels = &k;
	}
};

} // namespace

#define SIM_SHARED(unit)                                                                                   \
	extern "C" {                                                                                           \
	SIM_HIDDEN extern __attribute__((weak)) char __start_sim_shared_##unit[], __stop_sim_shared_##unit[];  \
	}

// Not in .bss, which is shared memory here.
#define SIM_KERNEL(name, unit, fibers)                                                                     \
	__attribute__((section(".data.sim_entries"))) static SimEntry sim_entry_##name({#name, SIM_FILE, &SimThunk<&name>::run, SimThunk<&name>::params,     \
		SimThunk<&name>::count, fibers, __start_sim_shared_##unit, __stop_sim_shared_##unit, nullptr});

#endif
