// Memory on 64-byte boundaries: one cache line, one AVX-512 vector.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace fastcf {

inline constexpr std::size_t kAlignment = 64;
inline constexpr std::int64_t kRowAlign = 16;  // floats on a cache line

// Floats from one row to the next so that every row begins on a cache line.
inline std::int64_t row_stride(std::int64_t n) {
    return (n + kRowAlign - 1) / kRowAlign * kRowAlign;
}

// A buffer of a fixed size.
template <class T>
class AlignedBuffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    AlignedBuffer() = default;
    // Uninitialised; callers fill it.
    explicit AlignedBuffer(std::int64_t size) : size_(size) {
        if (size == 0) return;
        const std::size_t bytes =
            (static_cast<std::size_t>(size) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
        if (!data_) throw std::bad_alloc();
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::int64_t size() const { return size_; }
    T& operator[](std::int64_t i) { return data_.get()[i]; }
    const T& operator[](std::int64_t i) const { return data_.get()[i]; }

  private:
    struct Free {
        void operator()(T* pointer) const { std::free(pointer); }
    };
    std::unique_ptr<T[], Free> data_;
    std::int64_t size_ = 0;
};

}  // namespace fastcf
