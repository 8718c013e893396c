// The dialect kernels are written in: CUDA C++ through a few names that csrc/emu can stand in for.
//
//   FASTCF_KERNEL(256) void name(Global<const float> x, Global<float> y, std::int64_t n) { ... }
//   FASTCF_LAUNCH(name, blocks, 256, shared_bytes, x, y, n);
//
// Global<T> is a pointer into device memory. An element is read into a typed local first (`const float v = x[i];`):
// emulated, it is a reference that checks. Shared memory is declared by FASTCF_SHARED and FASTCF_DYNAMIC_SHARED. Blocks
// have a multiple of 32 threads, at most as many as FASTCF_KERNEL says. All threads of a block reach every
// block_sync(), all lanes of a warp every warp function: threads without work are masked, they do not return early.
#pragma once

#include <cstdint>

#include "core/check.h"

namespace fastcf {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Blocks of a launch.
struct Grid {
    Grid(std::int64_t blocks_x, std::int64_t blocks_y = 1) : x(blocks_x), y(blocks_y) {}
    std::int64_t x, y;
};

inline std::int64_t blocks_for(std::int64_t n, std::int64_t per_block) {
    return (n + per_block - 1) / per_block;
}

}  // namespace fastcf

#ifndef FASTCF_EMULATED  // else csrc/emu/kernel.h was included first and defines all that follows

#include <cuda_fp16.h>
#include <cuda_runtime.h>

// Threads of a block at the most and, for kernels that should have more registers or fewer, blocks at a time.
#define FASTCF_KERNEL(...) __global__ __launch_bounds__(__VA_ARGS__)
#define FASTCF_DEVICE __device__ __forceinline__
// Before a loop: an array that its counter indexes must stay in registers; fetches of more steps at a time would take
// too many of them; a rare path is to stay small.
#define FASTCF_UNROLL _Pragma("unroll")
#define FASTCF_UNROLL_BY(n) FASTCF_PRAGMA(unroll(n))
#define FASTCF_PRAGMA(text) _Pragma(#text)
#define FASTCF_NO_UNROLL _Pragma("unroll 1")
#define FASTCF_SHARED(T, name, n) __shared__ __align__(16) T name[n]
#define FASTCF_DYNAMIC_SHARED(T, name)                                     \
    extern __shared__ __align__(16) unsigned char fastcf_dynamic_shared[]; \
    T* const name = reinterpret_cast<T*>(fastcf_dynamic_shared)

#define FASTCF_LAUNCH(kernel, grid, threads, shared_bytes, ...)                                                       \
    do {                                                                                                              \
        const ::fastcf::OnDevice fastcf_on_device;                                                                    \
        const ::fastcf::Grid fastcf_grid(grid);                                                                       \
        ::fastcf::prepare_launch(reinterpret_cast<const void*>(kernel), #kernel, fastcf_grid, threads, shared_bytes); \
        if (fastcf_grid.x > 0 && fastcf_grid.y > 0) {                                                                 \
            const dim3 fastcf_blocks(static_cast<unsigned>(fastcf_grid.x), static_cast<unsigned>(fastcf_grid.y));     \
            (kernel)<<<fastcf_blocks, threads, shared_bytes>>>(__VA_ARGS__);                                          \
            ::fastcf::check_launch(#kernel);                                                                          \
        }                                                                                                             \
    } while (false)

namespace fastcf {

// The device in use is the one that was current when the first of these was made; core/probe.h makes it. Each thread
// has a current device, which others, PyTorch for one, may move: while one of these lives it is ours.
class OnDevice {
  public:
    OnDevice();
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

  private:
    int theirs_ = -1;  // to go back to; -1: it is ours
};

// Throw DeviceFailure for a shape the device refuses, and for the error of a launch (or of one before it).
void prepare_launch(const void* kernel, const char* name, const Grid& grid, int threads, std::int64_t shared_bytes);
void check_launch(const char* name);
// What a block may ask for at the most; cards differ.
std::int64_t most_shared_bytes();

template <class T>
using Global = T*;
template <class T>
using Shared = T*;
// The same place as another type; its address must be a multiple of the size of that.
template <class U, class T>
FASTCF_DEVICE U* pointer_cast(T* pointer) {
    return reinterpret_cast<U*>(pointer);
}

FASTCF_DEVICE void block_sync() {
    __syncthreads();
}
FASTCF_DEVICE void warp_sync() {
    __syncwarp();
}
// The value that another lane passes: lane `source`, or this one's number with the bits of `mask` flipped.
template <class T>
FASTCF_DEVICE T shuffle(T value, int source) {
    return __shfl_sync(kAllLanes, value, source);
}
template <class T>
FASTCF_DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(kAllLanes, value, mask);
}
template <class T>
FASTCF_DEVICE T shuffle_up(T value, int by) {  // lanes below `by` keep their own
    return __shfl_up_sync(kAllLanes, value, by);
}
FASTCF_DEVICE unsigned ballot(bool yes) {
    return __ballot_sync(kAllLanes, yes);
}
FASTCF_DEVICE int count_bits(unsigned word) {
    return __popc(word);
}

// Returns what stood there before.
template <class T>
FASTCF_DEVICE T atomic_add(T* place, T value) {
    return atomicAdd(place, value);
}
template <class T>
FASTCF_DEVICE T atomic_max(T* place, T value) {
    return atomicMax(place, value);
}

// For data that other threads may be writing at this moment, on purpose: what is read is some thread's value.
template <class T>
FASTCF_DEVICE T racy_load(const T* place) {
    return *static_cast<const volatile T*>(place);
}
FASTCF_DEVICE float4 racy_load4(const float* place) {
    return __ldcg(reinterpret_cast<const float4*>(place));
}

// Adds to four neighbours, each by itself atomically; addresses as of load4, or multiples of 8 bytes for halves.
FASTCF_DEVICE void atomic_add4(float* place, float4 value) {
#if __CUDA_ARCH__ >= 900
    atomicAdd(reinterpret_cast<float4*>(place), value);
#else
    atomicAdd(place, value.x);
    atomicAdd(place + 1, value.y);
    atomicAdd(place + 2, value.z);
    atomicAdd(place + 3, value.w);
#endif
}
// Halves by instructions that return nothing: __half2's atomicAdd waits for what stood there before.
FASTCF_DEVICE void atomic_add4(std::uint16_t* halves, float4 value) {
    const __half2 low = __floats2half2_rn(value.x, value.y), high = __floats2half2_rn(value.z, value.w);
    const std::uint32_t low_bits = *reinterpret_cast<const std::uint32_t*>(&low);
    const std::uint32_t high_bits = *reinterpret_cast<const std::uint32_t*>(&high);
    const std::size_t place = __cvta_generic_to_global(halves);
#if __CUDA_ARCH__ >= 900
    asm volatile("red.global.add.noftz.v2.f16x2 [%0], {%1, %2};" ::"l"(place), "r"(low_bits), "r"(high_bits)
                 : "memory");
#else
    asm volatile("red.global.add.noftz.f16x2 [%0], %1;" ::"l"(place), "r"(low_bits) : "memory");
    asm volatile("red.global.add.noftz.f16x2 [%0], %1;" ::"l"(place + 4), "r"(high_bits) : "memory");
#endif
}

// For data that nobody writes during the launch: through the read-only cache.
template <class T>
FASTCF_DEVICE T constant_load(const T* place) {
    return __ldg(place);
}

// Four neighbours at once, or two; the address must be a multiple of 16 bytes.
FASTCF_DEVICE float4 load4(const float* place) {
    return *reinterpret_cast<const float4*>(place);
}
FASTCF_DEVICE void store4(float* place, float4 value) {
    *reinterpret_cast<float4*>(place) = value;
}
FASTCF_DEVICE double2 load2(const double* place) {
    return *reinterpret_cast<const double2*>(place);
}
FASTCF_DEVICE void store2(double* place, double2 value) {
    *reinterpret_cast<double2*>(place) = value;
}

// 1 / sqrt(x), to two units in the last place.
FASTCF_DEVICE float inverse_root(float x) {
    return rsqrtf(x);
}

using half_t = __half;
FASTCF_DEVICE float to_float(half_t value) {
    return __half2float(value);
}
FASTCF_DEVICE half_t to_half(float value) {
    return __float2half_rn(value);
}
FASTCF_DEVICE half_t half_from_bits(std::uint16_t bits) {
    return __ushort_as_half(bits);
}
FASTCF_DEVICE std::uint16_t half_bits(half_t value) {
    return __half_as_ushort(value);
}

// Four halves as they lie in memory, at a multiple of 8 bytes; widened where they are used, not where they are loaded,
// so that nobody waits for the load before that.
struct alignas(8) half4 {
    __half2 low, high;
};
FASTCF_DEVICE half4 load4(const half_t* place) {
    return *reinterpret_cast<const half4*>(place);
}
FASTCF_DEVICE float4 to_float4(half4 value) {
    const float2 low = __half22float2(value.low), high = __half22float2(value.high);
    return make_float4(low.x, low.y, high.x, high.y);
}

}  // namespace fastcf

#endif  // FASTCF_EMULATED

namespace fastcf {

FASTCF_DEVICE int lane_index() {
    return static_cast<int>(threadIdx.x % kWarp);
}
FASTCF_DEVICE int warp_index() {
    return static_cast<int>(threadIdx.x / kWarp);
}
FASTCF_DEVICE std::int64_t global_thread() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
FASTCF_DEVICE std::int64_t global_threads() {
    return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}
FASTCF_DEVICE std::int64_t global_warp() {
    return global_thread() / kWarp;
}
FASTCF_DEVICE float4 to_float4(float4 value) {
    return value;
}

// The sum over the lanes of a warp, in every lane; the same tree for any values.
template <class T>
FASTCF_DEVICE T warp_sum(T value) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}
template <class T>
FASTCF_DEVICE T warp_max(T value) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
        const T other = shuffle_xor(value, mask);
        value = other > value ? other : value;
    }
    return value;
}

// How many lanes before this one have their bit set.
FASTCF_DEVICE int lanes_before(unsigned lanes) {
    return count_bits(lanes & ((1u << lane_index()) - 1u));
}

// The sum over a block of up to 1024 threads, in every thread. `scratch` has room for 32 values and is free to use
// again when this returns.
template <class T>
FASTCF_DEVICE T block_sum(T value, Shared<T> scratch) {
    value = warp_sum(value);
    if (lane_index() == 0) scratch[warp_index()] = value;
    block_sync();
    T total = T(0);
    for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) {
        const T part = scratch[w];
        total += part;
    }
    block_sync();
    return total;
}
// The same for the greatest value.
template <class T>
FASTCF_DEVICE T block_max(T value, Shared<T> scratch) {
    value = warp_max(value);
    if (lane_index() == 0) scratch[warp_index()] = value;
    block_sync();
    T most = scratch[0];
    for (int w = 1; w < static_cast<int>(blockDim.x) / kWarp; ++w) {
        const T part = scratch[w];
        most = part > most ? part : most;
    }
    block_sync();
    return most;
}

// A chunk of an array is what one instruction moves, 16 bytes: four floats or two doubles.
template <class T>
inline constexpr int kChunk = 16 / static_cast<int>(sizeof(T));

FASTCF_DEVICE void load_chunk(Global<const float> place, float (&values)[4]) {
    const float4 four = load4(place);
    values[0] = four.x;
    values[1] = four.y;
    values[2] = four.z;
    values[3] = four.w;
}
FASTCF_DEVICE void load_chunk(Global<const double> place, double (&values)[2]) {
    const double2 two = load2(place);
    values[0] = two.x;
    values[1] = two.y;
}
FASTCF_DEVICE void store_chunk(Global<float> place, const float (&values)[4]) {
    store4(place, make_float4(values[0], values[1], values[2], values[3]));
}
FASTCF_DEVICE void store_chunk(Global<double> place, const double (&values)[2]) {
    store2(place, make_double2(values[0], values[1]));
}

// The row of compressed rows that entry e lies in: the last with indptr[row] <= e.
FASTCF_DEVICE std::int32_t row_of(Global<const std::int64_t> indptr, std::int64_t rows, std::int64_t e) {
    std::int64_t low = 0, high = rows - 1;
    while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        if (indptr[middle] <= e)
            low = middle;
        else
            high = middle - 1;
    }
    return static_cast<std::int32_t>(low);
}

}  // namespace fastcf
