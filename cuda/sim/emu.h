// What PTX instructions do, for the C++ that ptx2c writes. The table instructions.inc says which function stands for
// which instruction; what a warp does together is at the end.
//
// PTX_FILE is the name of the module in messages. With PTX_APPROX results of the approximate instructions are off by
// two units in the last place, to a side that the value decides: what depends on their last bits shows.
#ifndef SIGMAZ_SIM_EMU_H
#define SIGMAZ_SIM_EMU_H

#include <fenv.h>
#include <string.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "cell.h"

namespace {

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef unsigned long long u64;
typedef long long s64;
typedef float f32;
typedef double f64;
typedef u8 b8;
typedef u16 b16;
typedef u32 b32;
typedef u64 b64;
typedef bool pred;

#define INLINE static inline __attribute__((always_inline, unused))
#define OUTLINE static __attribute__((noinline, unused))

// ---- Registers ----

template <class To, class From> INLINE To bits(From a) {
	static_assert(sizeof(To) == sizeof(From), "");
	To b;
	__builtin_memcpy(&b, &a, sizeof b);
	return b;
}

// as reads a register as another type of its size, or as a narrower integer.
template <class To, class From> INLINE To as(From a) {
	if constexpr (std::is_same_v<To, From>) return a;
	else if constexpr (sizeof(To) == sizeof(From)) return bits<To>(a);
	else {
		static_assert(std::is_integral_v<To> && std::is_integral_v<From> && sizeof(To) < sizeof(From),
			"a register is read as something wider");
		return To(a);
	}
}

// put writes a register of the value's size, or a wider one: extended by the sign of a signed value, else by zeros.
template <class D, class S> INLINE void put(D &d, S s) {
	if constexpr (std::is_same_v<D, S>) d = s;
	else if constexpr (sizeof(D) == sizeof(S)) d = bits<D>(s);
	else {
		static_assert(std::is_integral_v<D> && std::is_integral_v<S> && sizeof(D) > sizeof(S),
			"a register is written with something wider");
		d = D(s);
	}
}

// junk is what registers hold at first: values that show.
template <class T> constexpr T junk() {
	if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::quiet_NaN();
	else if constexpr (std::is_same_v<T, bool>) return true;
	else return T(0xdeadbeefdeadbeefull);
}

[[noreturn]] __attribute__((noinline, cold, unused)) void fault(int code, const char *what, int line) {
	sim_trap(code, what, PTX_FILE, line);
}

// ---- Memory ----
//
// shared, global, local and generic check an access of N values of type T and say where they lie on the host. The
// bounds of global memory are those of pages that memory.cpp guards. What may be wrong, or a race, is looked at out of
// line: a module has thousands of accesses.

template <class T> INLINE T load(const char *p, size_t i = 0) {
	T v;
	__builtin_memcpy(&v, p + i * sizeof v, sizeof v);
	return v;
}
template <class T> INLINE void store(char *p, size_t i, T v) { __builtin_memcpy(p + i * sizeof v, &v, sizeof v); }

// inside says whether n bytes from a on lie in the `bytes` bytes from `from` on.
INLINE bool inside(u32 a, u32 n, u32 from, u32 bytes) { return n <= bytes && a - from <= bytes - n; }
INLINE bool inside_dynamic(u32 a, u32 n) { return inside(a, n, sim_dynamic_at, sim_dynamic_bytes); }
INLINE bool inside_any(u32 a, u32 n) { return inside(a, n, 0, sim_static_end) || inside_dynamic(a, n); }

__attribute__((noinline, cold, unused)) void look(
	bool shared, u64 a, u32 bytes, bool vector, bool outside, SimAccess how, int line) {
	if (a % bytes) fault(SIM_MISALIGNED, vector ? "misaligned vector access" : "misaligned access", line);
	if (outside)
		fault(SIM_ILLEGAL_ADDRESS,
			shared ? "access outside the kernel's shared memory" : "access to an address that is not the device's",
			line);
	if (sim_races) sim_race(shared, a, bytes, how, PTX_FILE, line);
}
template <class T, unsigned N, bool (*OWN)(u32, u32)> INLINE char *shared(u32 a, SimAccess how, int line) {
	const u32 bytes = sizeof(T) * N;
	const bool outside = !OWN(a, bytes);
	if (__builtin_expect((a % bytes) | outside | sim_races, 0)) look(true, a, bytes, N > 1, outside, how, line);
	return sim_shared + a;
}
template <class T, unsigned N> INLINE char *global(u64 a, SimAccess how, int line) {
	const u32 bytes = sizeof(T) * N;
	const bool outside = a - sim_memory >= sim_memory_bytes;
	if (__builtin_expect((a % bytes) | outside | sim_races, 0)) look(false, a, bytes, N > 1, outside, how, line);
	return reinterpret_cast<char *>(a);
}
template <class T, unsigned N> INLINE char *local(u64 a, int line) {
	if (a % (sizeof(T) * N)) fault(SIM_MISALIGNED, "misaligned access to local memory", line);
	if (!sim_on_stack(a, sizeof(T) * N)) fault(SIM_ILLEGAL_ADDRESS, "access outside the thread's local memory", line);
	return reinterpret_cast<char *>(a);
}
template <class T, unsigned N> OUTLINE char *generic(u64 a, SimAccess how, int line) {
	u64 in_shared = a - reinterpret_cast<u64>(sim_shared);
	if (in_shared < SIM_SHARED_MAX) return shared<T, N, inside_any>(u32(in_shared), how, line);
	if (a - sim_memory < sim_memory_bytes) return global<T, N>(a, how, line);
	return local<T, N>(a, line);
}
INLINE u64 generic_of_shared(u32 a) { return reinterpret_cast<u64>(sim_shared) + a; }
INLINE u64 shared_of_generic(u64 a) { return a - reinterpret_cast<u64>(sim_shared); }

// Locals is memory of a thread, which starts as NaN.
template <size_t N> struct alignas(16) Locals {
	char bytes[N];
	Locals() { memset(bytes, 0xff, N); }
	u64 address() { return reinterpret_cast<u64>(bytes); }
};

// ---- Atomics: threads run one at a time, so each is a read and a write ----

template <class T, class F> INLINE T atom(char *p, F f) {
	T old = load<T>(p);
	store<T>(p, 0, f(old));
	return old;
}

// ---- Integers. They wrap; shifts take any count ----

template <class T> using Unsigned = std::conditional_t<std::is_signed_v<T>, std::make_unsigned_t<T>, T>;
template <class T> constexpr int width = 8 * sizeof(T);
template <class T> struct WiderOf;
template <> struct WiderOf<u16> { typedef u32 type; };
template <> struct WiderOf<s16> { typedef s32 type; };
template <> struct WiderOf<u32> { typedef u64 type; };
template <> struct WiderOf<s32> { typedef s64 type; };
template <> struct WiderOf<u64> { typedef unsigned __int128 type; };
template <> struct WiderOf<s64> { typedef __int128 type; };
template <class T> using Wider = typename WiderOf<T>::type;

template <class T> INLINE T add(T a, T b) { return T(u64(a) + u64(b)); }
template <class T> INLINE T sub(T a, T b) { return T(u64(a) - u64(b)); }
template <class T> INLINE T mul_lo(T a, T b) { return T(u64(a) * u64(b)); }
template <class T> INLINE T mul_hi(T a, T b) { return T(Wider<T>(a) * b >> width<T>); }
template <class T> INLINE Wider<T> mul_wide(T a, T b) { return Wider<T>(a) * b; }
template <class T> INLINE T limit(bool low) {
	return low ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
}
template <class T> INLINE T add_sat(T a, T b) {
	T c;
	return __builtin_add_overflow(a, b, &c) ? limit<T>(a < 0) : c;
}
template <class T> INLINE T sub_sat(T a, T b) {
	T c;
	return __builtin_sub_overflow(a, b, &c) ? limit<T>(a < 0) : c;
}
// With the carry flag: in is added (or taken away) too, out is the flag afterwards.
template <class T> INLINE T add_carry(T a, T b, bool in, bool &out) {
	unsigned __int128 s = (unsigned __int128)Unsigned<T>(a) + Unsigned<T>(b) + in;
	out = s >> width<T>;
	return T(s);
}
template <class T> INLINE T sub_borrow(T a, T b, bool in, bool &out) {
	unsigned __int128 s = (unsigned __int128)Unsigned<T>(a) - Unsigned<T>(b) - in;
	out = s >> width<T> & 1;
	return T(s);
}
template <class T> INLINE T quotient(T a, T b, int line) {
	if (b == 0) fault(SIM_LAUNCH_FAILED, "integer division by zero", line);
	if (std::is_signed_v<T> && b == T(-1)) return sub<T>(0, a);
	return a / b;
}
template <class T> INLINE T remainder_of(T a, T b, int line) {
	if (b == 0) fault(SIM_LAUNCH_FAILED, "integer division by zero", line);
	if (std::is_signed_v<T> && b == T(-1)) return 0;
	return a % b;
}
template <class T> INLINE T absolute(T a) { return a < 0 ? sub<T>(0, a) : a; }
template <class T> INLINE T least(T a, T b) { return a < b ? a : b; }
template <class T> INLINE T greatest(T a, T b) { return a < b ? b : a; }
template <class T> INLINE T bit_and(T a, T b) { return T(a & b); }
template <class T> INLINE T bit_or(T a, T b) { return T(a | b); }
template <class T> INLINE T bit_xor(T a, T b) { return T(a ^ b); }
template <class T> INLINE T shl(T a, u32 n) { return n >= width<T> ? T(0) : T(a << n); }
template <class T> INLINE T shr(T a, u32 n) { return n >= width<T> ? (a < 0 ? T(-1) : T(0)) : T(a >> n); }
// shf moves the 64 bits b:a and gives the high word for l, the low word for r; wrap takes n mod 32, clamp at most 32.
INLINE u32 shf_l(u32 a, u32 b, u32 n) { return n == 0 ? b : u32((u64(b) << 32 | a) << n >> 32); }
INLINE u32 shf_r(u32 a, u32 b, u32 n) { return u32((u64(b) << 32 | a) >> n); }
INLINE u32 wrap(u32 n) { return n & 31; }
INLINE u32 clamp(u32 n) { return n < 32 ? n : 32; }
template <class T> INLINE T bfi(T a, T b, u32 pos, u32 len) {
	pos &= 255, len &= 255;
	if (pos >= width<T> || len == 0) return b;
	T mask = len >= width<T> ? T(-1) : T((T(1) << len) - 1);
	mask <<= pos;
	return (b & ~mask) | (T(a << pos) & mask);
}
template <class T> INLINE T bfe(T a, u32 pos, u32 len) {
	pos &= 255, len &= 255;
	T v = 0;
	for (u32 i = 0; i < width<T>; i++) { // beyond the field or the number: its sign, or 0
		bool bit = false;
		if (len == 0) bit = false;
		else if (i < len && pos + i < width<T>) bit = a >> (pos + i) & 1;
		else if (std::is_signed_v<T>) bit = a >> (pos + len - 1 < width<T> ? pos + len - 1 : width<T> - 1) & 1;
		if (bit) v |= T(Unsigned<T>(1) << i);
	}
	return v;
}
template <class T> INLINE u32 popc(T a) { return u32(__builtin_popcountll(a)); }
template <class T> INLINE u32 clz(T a) { return a ? u32(__builtin_clzll(a) - (64 - width<T>)) : width<T>; }
template <class T> INLINE T brev(T a) {
	T r = 0;
	for (int i = 0; i < width<T>; i++) r |= (a >> i & 1) << (width<T> - 1 - i);
	return r;
}
INLINE u32 prmt(u32 a, u32 b, u32 select) {
	u64 bytes = u64(b) << 32 | a;
	u32 r = 0;
	for (int i = 0; i < 4; i++) {
		u32 s = select >> 4 * i, v = u32(bytes >> 8 * (s & 7) & 255);
		if (s & 8) v = v & 128 ? 255 : 0; // the sign, copied
		r |= v << 8 * i;
	}
	return r;
}
INLINE u32 lop3(u32 a, u32 b, u32 c, u32 table) {
	u32 r = 0;
	for (int k = 0; k < 8; k++)
		if (table >> k & 1) r |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
	return r;
}

// ---- Comparisons. A NaN makes the ordered ones false, and those with u true ----

template <class T> INLINE bool is_eq(T a, T b) { return a == b; }
template <class T> INLINE bool is_ne(T a, T b) { return a < b || a > b; }
template <class T> INLINE bool is_lt(T a, T b) { return a < b; }
template <class T> INLINE bool is_le(T a, T b) { return a <= b; }
template <class T> INLINE bool is_gt(T a, T b) { return a > b; }
template <class T> INLINE bool is_ge(T a, T b) { return a >= b; }
template <class T> INLINE bool is_lo(T a, T b) { return a < b; }
template <class T> INLINE bool is_ls(T a, T b) { return a <= b; }
template <class T> INLINE bool is_hi(T a, T b) { return a > b; }
template <class T> INLINE bool is_hs(T a, T b) { return a >= b; }
template <class T> INLINE bool is_equ(T a, T b) { return !(a < b || a > b); }
template <class T> INLINE bool is_neu(T a, T b) { return a != b; }
template <class T> INLINE bool is_ltu(T a, T b) { return !(a >= b); }
template <class T> INLINE bool is_leu(T a, T b) { return !(a > b); }
template <class T> INLINE bool is_gtu(T a, T b) { return !(a <= b); }
template <class T> INLINE bool is_geu(T a, T b) { return !(a < b); }
template <class T> INLINE bool is_num(T a, T b) { return a == a && b == b; }
template <class T> INLINE bool is_nan(T a, T b) { return a != a || b != b; }

// ---- Floats. Rounding modes are those of the host's unit, set for one operation ----

const int rounding = FE_TONEAREST, rounding_rn = rounding, rounding_rz = FE_TOWARDZERO, rounding_rm = FE_DOWNWARD,
	rounding_rp = FE_UPWARD;

template <int R, class F, class... A> INLINE auto rounded(F f, A... a) {
	if constexpr (R == FE_TONEAREST) {
		return f(a...);
	} else {
		// Volatile, so that the operation stays between the two changes of the mode.
		return [](F f, volatile A... v) __attribute__((noinline)) {
			fesetround(R);
			volatile auto r = f(A(v)...);
			fesetround(FE_TONEAREST);
			return decltype(f(A(v)...))(r);
		}(f, a...);
	}
}
template <class T, int R> INLINE T float_add(T a, T b) { return rounded<R>([](T a, T b) { return a + b; }, a, b); }
template <class T, int R> INLINE T float_sub(T a, T b) { return rounded<R>([](T a, T b) { return a - b; }, a, b); }
template <class T, int R> INLINE T float_mul(T a, T b) { return rounded<R>([](T a, T b) { return a * b; }, a, b); }
template <class T, int R> INLINE T float_div(T a, T b) { return rounded<R>([](T a, T b) { return a / b; }, a, b); }
template <class T, int R> INLINE T float_fma(T a, T b, T c) {
	return rounded<R>([](T a, T b, T c) { return std::fma(a, b, c); }, a, b, c);
}
template <class T, int R> INLINE T float_sqrt(T a) { return rounded<R>([](T a) { return std::sqrt(a); }, a); }
template <class T, int R> INLINE T float_rcp(T a) { return float_div<T, R>(1, a); }
template <class T> INLINE T float_neg(T a) { return -a; }
template <class T> INLINE T float_abs(T a) { return std::fabs(a); }

// canonical is the NaN that instructions make.
template <class T> INLINE T canonical() {
	if constexpr (sizeof(T) == 4) return bits<f32>(u32(0x7fffffff));
	else return bits<f64>(u64(0x7fffffffffffffff));
}
// -0 is less than +0 here; of a NaN and a number the number is taken, with .NaN the NaN.
template <class T> INLINE T float_min(T a, T b) {
	return a != a ? (b != b ? canonical<T>() : b) : b != b ? a : a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T> INLINE T float_max(T a, T b) {
	return a != a ? (b != b ? canonical<T>() : b) : b != b ? a : a > b || (a == b && !std::signbit(a)) ? a : b;
}
template <class T> INLINE T float_min_NaN(T a, T b) { return a != a || b != b ? canonical<T>() : float_min(a, b); }
template <class T> INLINE T float_max_NaN(T a, T b) { return a != a || b != b ? canonical<T>() : float_max(a, b); }

// flush is what .ftz does to arguments and results, saturate what .sat does to results.
template <class T> INLINE T flush(T a) {
	if constexpr (std::is_same_v<T, f32>)
		return std::fabs(a) < std::numeric_limits<f32>::min() ? std::copysign(0.0f, a) : a;
	else return a;
}
template <class T> INLINE T saturate(T a) { return a > 0 ? (a < 1 ? a : T(1)) : T(0); } // NaN gives 0

// Float to integer: clamped to what the type holds. NaN is 0, with 64 bits on either side the top bit alone.
template <class F> INLINE F round_rni(F a) { return std::rint(a); }
template <class F> INLINE F round_rzi(F a) { return std::trunc(a); }
template <class F> INLINE F round_rmi(F a) { return std::floor(a); }
template <class F> INLINE F round_rpi(F a) { return std::ceil(a); }
template <class I, class F> INLINE I to_integer(F a) {
	if (a != a) return sizeof(F) == 8 || sizeof(I) == 8 ? I(Unsigned<I>(1) << (width<I> - 1)) : I(0);
	if (a <= F(std::numeric_limits<I>::min())) return std::numeric_limits<I>::min();
	if (a >= F(std::numeric_limits<I>::max())) return std::numeric_limits<I>::max();
	return I(a);
}
template <class I, class From> INLINE I clamp_integer(From a) {
	__int128 v = a, least = std::numeric_limits<I>::min(), most = std::numeric_limits<I>::max();
	return I(v < least ? least : v > most ? most : v);
}
template <class To, int R, class From> INLINE To to_float(From a) {
	return rounded<R>([](From a) { return To(a); }, a);
}

// ---- Approximate instructions: the value rounded once ----

#ifdef PTX_APPROX
INLINE f32 approximate(f32 a) {
	u32 h = bits<u32>(a) * 2654435761u >> 16;
	for (int i = 0; i < 2; i++)
		a = std::nextafter(a, h & 1 ? std::numeric_limits<f32>::infinity() : -std::numeric_limits<f32>::infinity());
	return a;
}
#else
INLINE f32 approximate(f32 a) { return a; }
#endif
INLINE f32 ex2_approx(f32 a) { return approximate(f32(std::exp2(f64(a)))); }
INLINE f32 lg2_approx(f32 a) { return approximate(f32(std::log2(f64(a)))); }
INLINE f32 rcp_approx(f32 a) { return approximate(1 / a); }
INLINE f32 div_approx(f32 a, f32 b) { return approximate(a / b); }
INLINE f32 sqrt_approx(f32 a) { return approximate(std::sqrt(a)); }
INLINE f32 rsqrt_approx(f32 a) { return approximate(f32(1 / std::sqrt(f64(a)))); }
INLINE f64 rcp_approx_f64(f64 a) { // the high word of the reciprocal; subnormal numbers are 0
	auto zero = [](f64 a) { return std::fabs(a) < std::numeric_limits<f64>::min() ? std::copysign(0.0, a) : a; };
	f64 r = zero(1 / zero(a));
	return r != r ? canonical<f64>() : bits<f64>(bits<u64>(r) & ~0xffffffffull);
}

// ---- Numbers of tensor cores ----

INLINE u16 to_bf16(f32 a, bool nearest, bool relu) { // ties to even, or toward zero
	u32 b = bits<u32>(a);
	if (a != a) return 0x7fff;
	if (relu && b >> 31) return 0;
	return u16((nearest ? b + 0x7fff + (b >> 16 & 1) : b) >> 16);
}
INLINE u16 bf16_rn(f32 a) { return to_bf16(a, true, false); }
INLINE u16 bf16_rz(f32 a) { return to_bf16(a, false, false); }
INLINE u16 bf16_rn_relu(f32 a) { return to_bf16(a, true, true); }
INLINE u16 bf16_rz_relu(f32 a) { return to_bf16(a, false, true); }
INLINE u32 pair(u16 high, u16 low) { return u32(high) << 16 | low; }
INLINE f32 from_bf16(u32 a) { return bits<f32>((a & 0xffff) << 16); }
INLINE u32 tf32_rna(f32 a) { // to the nearest of 10 fraction bits, ties away from zero
	if (a != a) return 0x7fffffff;
	if (std::isinf(a)) return bits<u32>(a);
	return (bits<u32>(a) + 0x1000) & 0xffffe000;
}

// ---- What a warp does together ----

enum ShuffleMode { shfl_up, shfl_down, shfl_bfly, shfl_idx };

// shuffle reads lane j's value. c holds the last lane that may be read, and a mask of the bits that tell segments
// apart.
OUTLINE u32 shuffle(ShuffleMode mode, u32 value, u32 b, u32 c, u32 members, bool &valid, int line) {
	const u32 lane = sim_lane(), segment = c >> 8 & 31;
	const u64 *slots = reinterpret_cast<const u64 *>(sim_exchange(value, members, false, PTX_FILE, line));
	const int last = int((lane & segment) | (c & 31 & ~segment)), first = int(lane & segment);
	b &= 31;
	int j = 0;
	switch (mode) {
	case shfl_up: j = int(lane - b), valid = j >= last; break;
	case shfl_down: j = int(lane + b), valid = j <= last; break;
	case shfl_bfly: j = int(lane ^ b), valid = j <= last; break;
	case shfl_idx: j = first | int(b & ~segment), valid = j <= last; break;
	}
	if (!valid) return value;
	// What a lane gives that takes no part is undefined.
	return j >= 0 && j < 32 && (members & sim_lanes()) >> j & 1 ? u32(slots[j]) : junk<u32>();
}
// ballot is a bit for each lane of the mask, its predicate.
OUTLINE u32 ballot(bool p, u32 members, int line) {
	const uint64_t *slots = sim_exchange(p, members, false, PTX_FILE, line);
	u32 r = 0;
	for (int l = 0; l < 32; l++) r |= u32((members & sim_lanes()) >> l & 1 & slots[l]) << l;
	return r;
}
INLINE bool vote_all(bool p, u32 members, int line) { return ballot(!p, members, line) == 0; }
INLINE bool vote_any(bool p, u32 members, int line) { return ballot(p, members, line) != 0; }
INLINE bool vote_uni(bool p, u32 members, int line) {
	u32 r = ballot(p, members, line);
	return r == 0 || r == (members & sim_lanes());
}

// gather hands every lane the N words of all lanes.
template <int N> INLINE void gather(u32 (&all)[32][N], const u32 (&mine)[N], int line) {
	for (int i = 0; i < N; i += 2) {
		const uint64_t *slots =
			sim_exchange(mine[i] | (i + 1 < N ? u64(mine[i + 1]) << 32 : 0), 0xffffffffu, false, PTX_FILE, line);
		for (int l = 0; l < 32; l++) {
			all[l][i] = u32(slots[l]);
			if (i + 1 < N) all[l][i + 1] = u32(slots[l] >> 32);
		}
	}
}

// ldmatrix: lane l has the address of row l % 8 of matrix l / 8, and gets two values of each matrix: of row l/4 from
// column 2 (l % 4) on, or transposed.
template <int N, bool TRANS, bool (*OWN)(u32, u32)> OUTLINE void ldmatrix(u32 (&v)[N], u32 address, int line) {
	const u32 l = sim_lane();
	if (l < 8 * N) shared<u64, 2, OWN>(address, SIM_READ, line);
	u32 all[32][1];
	gather<1>(all, {address}, line);
	for (int k = 0; k < N; k++) {
		u16 e[2];
		for (u32 i = 0; i < 2; i++) {
			u32 row = TRANS ? 2 * (l % 4) + i : l / 4, column = TRANS ? l / 4 : 2 * (l % 4) + i;
			e[i] = load<u16>(sim_shared + all[8 * k + row][0], column);
		}
		v[k] = e[0] | u32(e[1]) << 16;
	}
	sim_exchange(0, 0xffffffffu, false, PTX_FILE, -line); // no lane goes on and writes before all have read
}

// mma: d = a b + c with a of 16 rows and b of 8 columns. The products are exact; a chip adds them in an order and a
// width of its own, here it is double, rounded once.
OUTLINE void mma_bf16(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2], const f32 (&c)[4], int line) { // 16 terms
	u32 all[32][6];
	gather<6>(all, {a[0], a[1], a[2], a[3], b[0], b[1]}, line);
	const u32 l = sim_lane();
	for (u32 e = 0; e < 4; e++) {
		const u32 row = l / 4 + e / 2 * 8, column = 2 * (l % 4) + e % 2;
		f64 sum = c[e];
		for (u32 k = 0; k < 16; k++) {
			const u32 *x = all[row % 8 * 4 + k % 8 / 2], *y = all[column * 4 + k % 8 / 2];
			sum += f64(from_bf16(x[row / 8 + k / 8 * 2] >> 16 * (k % 2))) * from_bf16(y[4 + k / 8] >> 16 * (k % 2));
		}
		d[e] = f32(sum);
	}
}
OUTLINE void mma_tf32(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2], const f32 (&c)[4], int line) { // 8 terms
	u32 all[32][6];
	gather<6>(all, {a[0], a[1], a[2], a[3], b[0], b[1]}, line);
	const u32 l = sim_lane();
	auto tf32 = [](u32 x) { return f64(bits<f32>(x & 0xffffe000u)); }; // the low bits are not looked at
	for (u32 e = 0; e < 4; e++) {
		const u32 row = l / 4 + e / 2 * 8, column = 2 * (l % 4) + e % 2;
		f64 sum = c[e];
		for (u32 k = 0; k < 8; k++)
			sum += tf32(all[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]) * tf32(all[column * 4 + k % 4][4 + k / 4]);
		d[e] = f32(sum);
	}
}

// Copies are a thread's cp.async. They arrive only when they are waited for, so that a wait that is missing shows.
struct Copies {
	struct Copy { u32 to, n, size; u64 from; int group, line; } queue[256];
	int count = 0, group = 0;

	template <u32 SIZE, bool (*OWN)(u32, u32)>
	void add(u32 to, u64 from, u32 n, int line) { // n bytes, then zeros up to SIZE
		if (count == 256) fault(SIM_LAUNCH_FAILED, "more than 256 copies on their way", line);
		if (n > SIZE || from % SIZE)
			fault(SIM_MISALIGNED, n > SIZE ? "cp.async of more bytes than its size" : "misaligned cp.async", line);
		shared<u8, SIZE, OWN>(to, SIM_COPY, line); // with its alignment
		if (n) {
			if (from - sim_memory >= sim_memory_bytes)
				fault(SIM_ILLEGAL_ADDRESS, "cp.async from an address that is not the device's", line);
			if (sim_races) sim_race(false, from, n, SIM_READ, PTX_FILE, line);
		}
		queue[count++] = {to, n, SIZE, from, group, line};
	}
	void commit() { group++; }
	void wait(int left) { arrive(group - left); } // until at most `left` committed groups are on their way
	void wait_all() { arrive(++group); }
	void arrive(int before) {
		int kept = 0;
		for (int i = 0; i < count; i++) {
			const Copy c = queue[i];
			if (c.group >= before) {
				queue[kept++] = c;
				continue;
			}
			if (sim_races) sim_race(true, c.to, c.size, SIM_ARRIVAL, PTX_FILE, c.line);
			memset(sim_shared + c.to, 0, c.size);
			if (c.n) memcpy(sim_shared + c.to, reinterpret_cast<const void *>(c.from), c.n);
		}
		count = kept;
	}
};

// ---- What the driver knows of a module ----

// run_threads runs a kernel for n threads.
template <void (*KERNEL)(const char *)> void run_threads(const char *params, const SimIndex *threads, int n) {
	for (int i = 0; i < n; i++) {
		sim_thread = threads[i];
		KERNEL(params);
	}
}

struct Registration {
	SimModule module;
	Registration(const char *file, uint64_t text, const SimKernel *kernels, int count)
		: module{file, text, kernels, count, sim_modules} {
		sim_modules = &module;
	}
};

} // namespace

#endif
