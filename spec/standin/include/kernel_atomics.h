/* CUDA's atomics and fences, for kernel_emulation.h: the processor's own. */
#pragma once

#include <type_traits>

/* *address becomes f(*address); what it was. */
template <typename T, typename F>
static inline T
kernel_atomic(T *address, F f)
{
	T old, next;
	__atomic_load(address, &old, __ATOMIC_RELAXED);
	do
		next = f(old);
	while (!__atomic_compare_exchange(address, &old, &next, true, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED));
	return old;
}

template <typename T>
static inline T
atomicAdd(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return (T)(old + value); });
}

template <typename T>
static inline T
atomicSub(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return (T)(old - value); });
}

template <typename T>
static inline T
atomicMax(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old > value ? old : value; });
}

template <typename T>
static inline T
atomicMin(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old < value ? old : value; });
}

template <typename T>
static inline T
atomicExch(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T) { return value; });
}

template <typename T>
static inline T
atomicAnd(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old & value; });
}

template <typename T>
static inline T
atomicOr(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old | value; });
}

template <typename T>
static inline T
atomicCAS(T *address, std::common_type_t<T> compare, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old == compare ? value : old; });
}

template <typename T>
static inline T
kernel_peek(const T *from)
{
	T value;
	__atomic_load(from, &value, __ATOMIC_RELAXED);
	return value;
}

/* As an operation on a word: ThreadSanitizer does not know fences. */
static inline void
emulation_fence()
{
	static int word;
	__atomic_fetch_add(&word, 0, __ATOMIC_SEQ_CST);
}

static inline void
__threadfence()
{
	emulation_fence();
}

static inline void
__threadfence_block()
{
	emulation_fence();
}

static inline void
__threadfence_system()
{
	emulation_fence();
}
