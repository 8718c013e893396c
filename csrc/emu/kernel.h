// Stands in for CUDA: included before every file of csrc/cuda when it is compiled for the emulation. What the names
// mean is said in cuda/kernel.h.
#pragma once

#define FASTCF_EMULATED 1

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emu/launch.h"
#include "emu/memory.h"
#include "math/half.h"

#define threadIdx (::fastcf::emu::coordinates.thread)
#define blockIdx (::fastcf::emu::coordinates.block)
#define blockDim (::fastcf::emu::coordinates.block_size)
#define gridDim (::fastcf::emu::coordinates.grid_size)

#define FASTCF_KERNEL(...) static
#define FASTCF_DEVICE inline
#define FASTCF_UNROLL
#define FASTCF_UNROLL_BY(n)
#define FASTCF_NO_UNROLL
#define FASTCF_SHARED(T, name, n)            \
    static const char fastcf_tag_##name = 0; \
    const ::fastcf::emu::Pointer<T> name(::fastcf::emu::shared_region(&fastcf_tag_##name, #name, (n) * sizeof(T)), 0)
#define FASTCF_DYNAMIC_SHARED(T, name) const ::fastcf::emu::Pointer<T> name(::fastcf::emu::dynamic_shared_region(), 0)

#define FASTCF_LAUNCH(kernel, grid, threads, shared_bytes, ...)                                                      \
    do {                                                                                                             \
        const ::fastcf::Grid fastcf_grid(grid);                                                                      \
        ::fastcf::emu::launch_kernel(                                                                                \
            {#kernel, 1024, fastcf_grid.x, fastcf_grid.y, threads, static_cast<std::int64_t>(shared_bytes)}, kernel, \
            __VA_ARGS__);                                                                                            \
    } while (false)

struct float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
struct double2 {
    double x, y;
};
inline double2 make_double2(double x, double y) {
    return {x, y};
}

namespace fastcf {
namespace emu {

// A checked element: reads and writes of it are noted.
template <class T>
class Element {
  public:
    Element(Region* region, std::int64_t offset) : region_(region), offset_(offset) {}
    Element(const Element&) = default;
    operator T() const { return read(Touch::read); }
    Element& operator=(T value) {
        write(value, Touch::write);
        return *this;
    }
    Element& operator=(const Element& other) { return *this = static_cast<T>(other); }
    Element& operator+=(T value) { return *this = static_cast<T>(read(Touch::read) + value); }
    Element& operator-=(T value) { return *this = static_cast<T>(read(Touch::read) - value); }
    Element& operator*=(T value) { return *this = static_cast<T>(read(Touch::read) * value); }

    T read(Touch touch) const {
        region_->touch(offset_, sizeof(T), touch);
        T value;
        std::memcpy(&value, region_->memory() + offset_, sizeof(T));
        return value;
    }
    void write(T value, Touch touch) const {
        region_->touch(offset_, sizeof(T), touch);
        std::memcpy(region_->memory() + offset_, &value, sizeof(T));
    }

  private:
    Region* region_;
    std::int64_t offset_;
};

// A pointer into a region: of a kernel's parameters, or to shared memory.
template <class T>
class Pointer {
    using Value = std::remove_const_t<T>;

  public:
    Pointer(std::nullptr_t = nullptr) {}
    Pointer(T* device_pointer) {
        if (device_pointer == nullptr) return;
        const Place place = find_place(device_pointer);
        if (place.region == nullptr) throw Fault("a kernel was given a pointer that does not lead to device memory");
        region_ = place.region;
        offset_ = place.offset;
    }
    Pointer(Region& region, std::int64_t offset) : region_(&region), offset_(offset) {}
    template <class U>
        requires(std::is_const_v<T> && std::is_same_v<U, Value>)
    Pointer(const Pointer<U>& other) : region_(other.region()), offset_(other.offset()) {}

    Region* region() const { return region_; }
    std::int64_t offset() const { return offset_; }
    Element<Value> element(std::int64_t i) const {
        if (region_ == nullptr) fault("follows a null pointer");
        return {region_, offset_ + i * static_cast<std::int64_t>(sizeof(T))};
    }
    auto operator[](std::int64_t i) const {
        if constexpr (std::is_const_v<T>)
            return element(i).read(Touch::read);
        else
            return element(i);
    }
    auto operator*() const { return (*this)[0]; }
    Pointer operator+(std::int64_t n) const {
        Pointer moved = *this;
        moved.offset_ += n * static_cast<std::int64_t>(sizeof(T));
        return moved;
    }
    Pointer& operator+=(std::int64_t n) { return *this = *this + n; }
    bool operator==(std::nullptr_t) const { return region_ == nullptr; }
    explicit operator bool() const { return region_ != nullptr; }

  private:
    Region* region_ = nullptr;
    std::int64_t offset_ = 0;
};

template <class T>
std::uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}
template <class T>
T from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

}  // namespace emu

template <class T>
using Global = emu::Pointer<T>;
template <class T>
using Shared = emu::Pointer<T>;
template <class U, class T>
emu::Pointer<U> pointer_cast(const emu::Pointer<T>& pointer) {
    return {*pointer.region(), pointer.offset()};
}

#define FASTCF_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void block_sync(FASTCF_SITE) {
    emu::wait_for_block(file, line);
}
inline void warp_sync(FASTCF_SITE) {
    emu::wait_for_warp(file, line, true);
}
template <class T>
T shuffle(T value, int source, FASTCF_SITE) {
    return emu::from_bits<T>(emu::exchange(emu::to_bits(value), source, file, line));
}
template <class T>
T shuffle_xor(T value, int mask, FASTCF_SITE) {
    return shuffle(value, static_cast<int>(threadIdx.x % 32) ^ mask, file, line);
}
template <class T>
T shuffle_up(T value, int by, FASTCF_SITE) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    return shuffle(value, lane < by ? lane : lane - by, file, line);
}
inline unsigned ballot(bool yes, FASTCF_SITE) {
    return emu::exchange_votes(yes, file, line);
}
inline int count_bits(unsigned word) {
    return std::popcount(word);
}

#undef FASTCF_SITE

template <class T>
T atomic_add(const emu::Pointer<T>& place, std::type_identity_t<T> value) {
    const T before = place.element(0).read(emu::Touch::atomic);
    place.element(0).write(before + value, emu::Touch::atomic);
    return before;
}
template <class T>
T atomic_max(const emu::Pointer<T>& place, std::type_identity_t<T> value) {
    const T before = place.element(0).read(emu::Touch::atomic);
    place.element(0).write(before < value ? value : before, emu::Touch::atomic);
    return before;
}
template <class T>
std::remove_const_t<T> racy_load(const emu::Pointer<T>& place) {
    return place.element(0).read(emu::Touch::atomic);
}
template <class T>
std::remove_const_t<T> constant_load(const emu::Pointer<T>& place) {
    return place.element(0).read(emu::Touch::read);
}

// Bits of binary16: not every compiler has _Float16.
struct half_t {
    std::uint16_t bits;
};
inline half_t half_from_bits(std::uint16_t bits) {
    return {bits};
}
inline std::uint16_t half_bits(half_t value) {
    return value.bits;
}
inline float to_float(half_t value) {
    const std::uint32_t sign = (value.bits & 0x8000u) << 16, size = value.bits & 0x7fffu;
    std::uint32_t result = 0;
    if (size >= 0x7c00u)
        result = 0x7f800000u | (size & 0x3ffu) << 13;
    else if (size >= 0x0400u)
        result = (size << 13) + 0x38000000u;
    else
        result = std::bit_cast<std::uint32_t>(static_cast<float>(size) * 0x1p-24f);
    return std::bit_cast<float>(sign | result);
}
inline half_t to_half(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(round_to_half(value));
    const std::uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    std::uint32_t result = 0;
    if (size > 0x7f800000u)
        result = 0x7e00u;
    else if (size == 0x7f800000u)
        result = 0x7c00u;
    else if (size >= 0x38800000u)
        result = (size - 0x38000000u) >> 13;
    else
        result = static_cast<std::uint32_t>(std::bit_cast<float>(size) * 0x1p24f);
    return {static_cast<std::uint16_t>(sign | result)};
}

struct alignas(8) half4 {
    half_t x, y, z, w;
};
inline float4 to_float4(half4 value) {
    return {to_float(value.x), to_float(value.y), to_float(value.z), to_float(value.w)};
}

template <class T>
emu::Element<float4> four(const emu::Pointer<T>& place) {
    return {place.region(), place.offset()};
}
template <class T>
float4 load4(const emu::Pointer<T>& place) {
    return four(place).read(emu::Touch::read);
}
inline half4 load4(const emu::Pointer<const half_t>& place) {
    return emu::Element<half4>(place.region(), place.offset()).read(emu::Touch::read);
}
inline void store4(const emu::Pointer<float>& place, float4 value) {
    four(place).write(value, emu::Touch::write);
}
template <class T>
emu::Element<double2> two(const emu::Pointer<T>& place) {
    return {place.region(), place.offset()};
}
template <class T>
double2 load2(const emu::Pointer<T>& place) {
    return two(place).read(emu::Touch::read);
}
inline void store2(const emu::Pointer<double>& place, double2 value) {
    two(place).write(value, emu::Touch::write);
}
template <class T>
float4 racy_load4(const emu::Pointer<T>& place) {
    return four(place).read(emu::Touch::atomic);
}

inline float inverse_root(float x) {
    return 1.0f / std::sqrt(x);
}
inline std::int64_t most_shared_bytes() {
    return emu::kMostSharedBytes;
}

inline void atomic_add4(const emu::Pointer<float>& place, float4 value) {
    const float4 before = four(place).read(emu::Touch::atomic);
    four(place).write({before.x + value.x, before.y + value.y, before.z + value.z, before.w + value.w},
                      emu::Touch::atomic);
}
inline void atomic_add4(const emu::Pointer<std::uint16_t>& halves, float4 value) {
    const emu::Element<std::uint64_t> place(halves.region(), halves.offset());
    std::uint16_t bits[4];
    const std::uint64_t before = place.read(emu::Touch::atomic);
    std::memcpy(bits, &before, sizeof bits);
    const float by[4] = {value.x, value.y, value.z, value.w};
    for (int i = 0; i < 4; ++i)  // sums of halves round once: float32 holds them exactly
        bits[i] = half_bits(to_half(to_float(half_from_bits(bits[i])) + to_float(to_half(by[i]))));
    std::uint64_t after;
    std::memcpy(&after, bits, sizeof after);
    place.write(after, emu::Touch::atomic);
}

}  // namespace fastcf
